// Hosts of tests/cluster, which a program's processes enter by themselves.
#pragma once

namespace hansa::test {

// Moves this process to a host of TEST_HOSTS (pids that hold their namespaces, with commas between), if
// that is set: process `index` of `count`, neighbours together. Network, name and System V memory are the
// host's from then on; pids and files stay the caller's. Before any thread is made. Ends the process if the
// host cannot be entered.
void enter_host(int index, int count);

}  // namespace hansa::test
