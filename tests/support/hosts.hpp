// Hosts of tests/cluster, which a program's processes enter by themselves.
#pragma once

namespace hansa::test {

// Goes on in a child that runs on a host of TEST_HOSTS (pids that hold their namespaces, with commas
// between), if that is set: process `index` of `count`, neighbours together. This process waits and ends as
// the child does. Before any thread is made, by absolute paths only. Ends the process if the host cannot be
// entered.
void enter_host(int index, int count);

}  // namespace hansa::test
