# Toolchain: Debian's cross compiler, its C library under qemu-user, and foreign packages unpacked by scripts/test.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
list(APPEND CMAKE_LIBRARY_PATH ${CMAKE_CURRENT_LIST_DIR}/../build/aarch64-packages/usr/lib/aarch64-linux-gnu)
