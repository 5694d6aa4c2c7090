# What scripts/demo and scripts/test share. Sourced, with the repository root as the working directory.

build_packages=(cmake ninja-build g++ pkg-config python3 libfmt-dev libsodium-dev libhwy-dev libfabric-dev
                libcli11-dev nlohmann-json3-dev libgtest-dev libbenchmark-dev)
test_packages=(gdb procps binutils clang clang-format libclang-rt-14-dev libstdc++-12-dev mpich libmpich-dev openmpi-bin libpmix-dev
               iproute2 util-linux g++-aarch64-linux-gnu qemu-user dpkg-dev file groff-base python3-pip)
long_packages=(slurmctld slurmd slurm-client munge)

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need PACKAGE...: installs those that are missing; the lists are fetched only if the known ones do not do.
need() {
  local missing=()
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
  done
  [ ${#missing[@]} = 0 ] && return
  echo "installing ${missing[*]}"
  local install=(env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}")
  as_root "${install[@]}" >/dev/null 2>&1 && return
  as_root apt-get update -qq && as_root "${install[@]}" >/dev/null
}

# build PRESET [TARGET...]: configures build/PRESET and builds the targets (all by default). Says nothing unless it fails.
build() {
  local preset=$1 log=build/$1.log
  shift
  mkdir -p build
  if ! { cmake --preset "$preset" && cmake --build "build/$preset" ${1:+--target} "$@"; } >"$log" 2>&1; then
    grep -E -A12 'error|FAILED|Error' "$log" | head -60
    echo "building build/$preset failed; all of it: $log"
    return 1
  fi
}
