/* To be preloaded under an MPI over UCX that polls without ever letting go of its core, where ranks outnumber
   cores: whenever UCX found nothing to do, another process may run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sched.h>

unsigned ucp_worker_progress(void* worker) {
  static unsigned (*progress)(void*);
  if (!progress) progress = (unsigned (*)(void*))dlsym(RTLD_NEXT, "ucp_worker_progress");
  const unsigned found = progress(worker);
  if (found == 0) sched_yield();
  return found;
}
