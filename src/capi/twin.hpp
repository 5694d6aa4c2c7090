// Every ncclX is a weak alias of a strong pncclX, so that tools can interpose the one and call on to the
// other.
#pragma once

#define TWIN(name) \
  extern "C"       \
      __attribute__((weak, alias("pnccl" #name), visibility("default"))) decltype(pnccl##name) nccl##name
