#include "measure.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "board.h"

/* Barrier loops time each call alone: all ranks leave the barrier together and the slowest one's time counts;
   of all calls the median and the first and last tenth. "Rewritten" writes every input anew before each call,
   as training does. */
static const struct loop {
  const char* name;
  int back_to_back, rewrites, root_first;
} kLoops[] = {
    {"back_to_back", 1, 0, 0},         {"untouched", 0, 0, 0}, {"rewritten", 0, 1, 0},
    {"untouched_root_first", 0, 0, 1}, /* these two of broadcast only */
    {"rewritten_root_first", 0, 1, 1},
};
enum { kPlainLoops = 3, kAllLoops = 5, kFewestOfLarge = 3 };
static const size_t kLarge = (size_t)128 << 20;

static const char* const kNames[kOperations] = {
    "allreduce",      "reduce_scatter", "allgather",      "alltoall",
    "broadcast",      "reduce",         "bare_allreduce", "bare_allreduce_streamed",
    "bare_allgather", "bare_alltoall",  "read",           "write",
    "write_streamed", "copy",           "copy_streamed"};

struct cell {
  int operation;
  size_t bytes, count; /* of the larger buffer; of a call */
};

static struct {
  double seconds;    /* that a loop takes */
  int fewest;        /* calls of a loop */
  int turns;         /* where they come from; -1: all are this job's */
  const char* loops; /* those to run */
} given;

/* Of a loop: microseconds of a call, and the share of the machine's cores that were busy. */
struct figures {
  double median, low, high, busy;
};

static const struct peer* peer;
static float *in, *out;

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static int is_whole(int operation) {
  return operation == kAllReduce || operation == kBroadcast || operation == kReduce ||
         operation == kBareAllReduce || operation == kBareAllReduceStreamed || operation >= kRead;
}

/* At least a float a rank, so that the smallest sizes exist for all. */
static struct cell cell_of(const char* text) {
  struct cell cell = {.operation = -1};
  const char* const colon = strchr(text, ':');
  for (int o = 0; colon != NULL && o < kOperations; ++o)
    if (strlen(kNames[o]) == (size_t)(colon - text) && strncmp(text, kNames[o], strlen(kNames[o])) == 0)
      cell.operation = o;
  if (cell.operation < 0) board_fail(text);
  cell.bytes = strtoull(colon + 1, NULL, 10);
  const size_t shares = is_whole(cell.operation) ? 1 : (size_t)peer->ranks;
  cell.count = cell.bytes / sizeof(float) / shares;
  if (cell.count == 0) cell.count = 1;
  return cell;
}

/* Small integers, so that sums are exact: they tell ranks, generations and neighbours apart. */
static float value(int rank, int generation, size_t index) {
  return (float)(rank * 64 + generation % 8 * 8 + (int)(index % 8));
}

static void write_input(const struct cell* cell, int generation) {
  if (cell->operation == kBroadcast && peer->rank != 0) return;
  float* const into = cell->operation == kBroadcast ? out : in;
  const int shares =
      cell->operation == kReduceScatter || cell->operation == kAllToAll || cell->operation == kBareAllToAll;
  const size_t count = shares ? cell->count * (size_t)peer->ranks : cell->count;
  float eight[8];
  for (size_t i = 0; i < 8; ++i) eight[i] = value(peer->rank, generation, i);
  size_t i = 0;
  for (; i + 8 <= count; i += 8) memcpy(into + i, eight, sizeof eight);
  memcpy(into + i, eight, (count - i) * sizeof *eight);
}

static float sum(int generation, size_t index) {
  float total = 0;
  for (int rank = 0; rank < peer->ranks; ++rank) total += value(rank, generation, index);
  return total;
}

static float expected(const struct cell* cell, int generation, size_t i) {
  const size_t self = (size_t)peer->rank;
  switch (cell->operation) {
    case kReduceScatter:
      return sum(generation, self * cell->count + i);
    case kAllGather:
    case kBareAllGather:
      return value((int)(i / cell->count), generation, i % cell->count);
    case kAllToAll:
    case kBareAllToAll:
      return value((int)(i / cell->count), generation, self * cell->count + i % cell->count);
    case kBroadcast:
      return value(0, generation, i);
    default:
      return sum(generation, i);
  }
}

static void check(const struct cell* cell, int generation) {
  if (cell->operation >= kRead || (cell->operation == kReduce && peer->rank != 0)) return;
  const size_t shares =
      is_whole(cell->operation) || cell->operation == kReduceScatter ? 1 : (size_t)peer->ranks;
  for (size_t i = 0; i < cell->count * shares; ++i)
    if (out[i] != expected(cell, generation, i)) board_fail("a result is wrong");
}

static void run(const struct cell* cell) { peer->run(cell->operation, in, out, cell->count); }

/* One call as the loop makes it: its time. */
static double turn(const struct cell* cell, const struct loop* loop, int generation) {
  if (loop->rewrites) write_input(cell, generation);
  if (!loop->back_to_back) board_barrier(loop->root_first ? kRootFirst : kSymmetric);
  const double start = now();
  run(cell);
  return now() - start;
}

/* How many calls fill the time, the same on all ranks. The first two of three calls warm up. */
static int calls_for(const struct cell* cell, const struct loop* loop) {
  double last = 0;
  for (int k = 0; k < 3; ++k) {
    const double start = now();
    turn(cell, loop, k);
    last = now() - start;
  }
  const double fit = given.seconds / (last > 1e-7 ? last : 1e-7);
  const int most = board_most_times(), fewest = cell->bytes >= kLarge ? kFewestOfLarge : given.fewest;
  return (int)board_agree(fit > most ? (uint64_t)most : fit < fewest ? (uint64_t)fewest : (uint64_t)fit);
}

static int by_size(const void* a, const void* b) {
  const double difference = *(const double*)a - *(const double*)b;
  return (difference > 0) - (difference < 0);
}

static struct figures back_to_back(const struct cell* cell, const struct loop* loop, int calls) {
  board_barrier(kSymmetric);
  const double start = now();
  for (int k = 0; k < calls; ++k) turn(cell, loop, 0);
  double each = (now() - start) / calls;
  board_slowest(&each, 1);
  return (struct figures){each, each, each, 0};
}

static struct figures alone(const struct cell* cell, const struct loop* loop, int calls, double* times) {
  for (int k = 0; k < calls / 10; ++k) turn(cell, loop, k);
  for (int k = 0; k < calls; ++k) times[k] = turn(cell, loop, k);
  board_slowest(times, calls);
  qsort(times, (size_t)calls, sizeof *times, by_size);
  return (struct figures){times[calls / 2], times[calls / 10], times[calls - 1 - calls / 10], 0};
}

/* Ticks of all the machine's cores so far: those in which they worked, and all. */
static void read_ticks(double ticks[2]) {
  double fields[8] = {0};
  FILE* const file = fopen("/proc/stat", "r");
  if (file == NULL || fscanf(file, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &fields[0], &fields[1], &fields[2],
                             &fields[3], &fields[4], &fields[5], &fields[6], &fields[7]) < 8)
    board_fail("cannot read /proc/stat");
  fclose(file);
  ticks[0] = fields[0] + fields[1] + fields[2] + fields[5] + fields[6];
  ticks[1] = ticks[0] + fields[3] + fields[4] + fields[7];
}

/* Says what this job would do next and sleeps until it is its turn: others are on the same cores. */
static void come_on_turn(const struct cell* cell, const struct loop* loop) {
  char byte;
  if (given.turns < 0) return;
  board_barrier(kSymmetric);
  if (peer->rank == 0)
    printf("next %s %zu %s\n", kNames[cell->operation], cell->bytes, loop->name), fflush(stdout);
  if (read(given.turns, &byte, 1) != 1) board_fail("nobody gives turns any more");
}

static void measure_loop(const struct cell* cell, const struct loop* loop, double* times) {
  double before[2], after[2];
  come_on_turn(cell, loop);
  const int calls = calls_for(cell, loop);
  read_ticks(before);
  struct figures found =
      loop->back_to_back ? back_to_back(cell, loop, calls) : alone(cell, loop, calls, times);
  read_ticks(after);
  if (after[1] > before[1]) found.busy = (after[0] - before[0]) / (after[1] - before[1]);
  if (loop->rewrites) check(cell, calls - 1);
  if (peer->rank == 0)
    printf("%s %zu %s %.4f %.4f %.4f %.2f\n", kNames[cell->operation], cell->bytes, loop->name,
           found.median * 1e6, found.low * 1e6, found.high * 1e6, found.busy),
        fflush(stdout);
}

static int is_asked_for(const struct loop* loop) {
  const size_t length = strlen(loop->name);
  for (const char* at = given.loops; (at = strstr(at, loop->name)) != NULL; at += length)
    if ((at == given.loops || at[-1] == ',') && (at[length] == ',' || at[length] == '\0')) return 1;
  return strcmp(given.loops, "all") == 0;
}

static void measure_cell(const struct cell* cell, double* times) {
  write_input(cell, 1);
  board_barrier(kSymmetric);
  run(cell);
  check(cell, 1);
  for (int l = 0; l < (cell->operation == kBroadcast ? kAllLoops : kPlainLoops); ++l)
    if (is_asked_for(&kLoops[l])) measure_loop(cell, &kLoops[l], times);
}

int measure(const struct peer* library, int argc, char** argv) {
  peer = library;
  struct board* const board = board_join(argv[kFile], peer->rank, peer->ranks);
  if (argc <= kCells || atoi(argv[kRanks]) != peer->ranks)
    board_fail("RANKS FILE TURNS MILLISECONDS CALLS LOOPS MEMORY OPERATION:BYTES... expected");
  given.seconds = strtod(argv[kMilliseconds], NULL) * 1e-3, given.fewest = atoi(argv[kCalls]);
  given.loops = argv[kLoopNames];
  given.turns = strcmp(argv[kTurns], "-") == 0 ? -1 : open(argv[kTurns], O_RDONLY);
  size_t most = (size_t)peer->ranks * sizeof(float);
  for (int i = kCells; i < argc; ++i) {
    const struct cell cell = cell_of(argv[i]);
    if (cell.bytes > most) most = cell.bytes;
  }
  void* (*const allocate)(size_t) = peer->allocate != NULL ? peer->allocate : malloc;
  in = allocate(most), out = allocate(most);
  double* const times = malloc((size_t)board_most_times() * sizeof *times);
  if (in == NULL || out == NULL || times == NULL) board_fail("no memory");
  memset(in, 0, most), memset(out, 0, most);
  if (peer->show != NULL) peer->show(peer, in, out, most, board);
  board_barrier(kSymmetric);
  if (peer->look != NULL) peer->look(board);
  for (int i = kCells; i < argc; ++i) {
    const struct cell cell = cell_of(argv[i]);
    measure_cell(&cell, times);
  }
  board_barrier(kSymmetric);
  return 0;
}
