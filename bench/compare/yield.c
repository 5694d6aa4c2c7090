/* To be preloaded under an MPI that polls without ever letting go of its core, where ranks outnumber cores:
   whenever UCX, or one who asks the kernel for network events without waiting, found nothing to do, another
   process may run. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <poll.h>
#include <sched.h>
#include <sys/epoll.h>

static __thread int in_ucx; /* which asks the kernel, too: one yield is enough */

unsigned ucp_worker_progress(void* worker) {
  static unsigned (*progress)(void*);
  if (!progress) progress = (unsigned (*)(void*))dlsym(RTLD_NEXT, "ucp_worker_progress");
  ++in_ucx;
  const unsigned found = progress(worker);
  --in_ucx;
  if (found == 0) sched_yield();
  return found;
}

static int yield_if_empty(int found, int timeout) {
  if (found == 0 && timeout == 0 && in_ucx == 0) sched_yield();
  return found;
}

int epoll_wait(int set, struct epoll_event* events, int most, int timeout) {
  static int (*wait)(int, struct epoll_event*, int, int);
  if (!wait) wait = (int (*)(int, struct epoll_event*, int, int))dlsym(RTLD_NEXT, "epoll_wait");
  return yield_if_empty(wait(set, events, most, timeout), timeout);
}

int poll(struct pollfd* files, nfds_t count, int timeout) {
  static int (*wait)(struct pollfd*, nfds_t, int);
  if (!wait) wait = (int (*)(struct pollfd*, nfds_t, int))dlsym(RTLD_NEXT, "poll");
  return yield_if_empty(wait(files, count, timeout), timeout);
}
