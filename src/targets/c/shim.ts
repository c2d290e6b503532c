// The C around a model's file that lets Node call it: N-API by hand-declared prototypes (no headers needed), and a pool of
// threads that walk the model's steps together.

/**
 * C source that includes `main`. `inputs` and `outputs` count its ports. How many threads run is said at each run, so that models that
 * need no memory of each thread's own are one file for all numbers.
 */
export function shimSource(name: string, main: string, inputs: number, outputs: number): string {
  const ports = inputs + outputs
  const set = [
    ...Array.from({ length: inputs }, (_, i) => `${name}_in${i} = at[${i + 1}];`),
    ...Array.from({ length: outputs }, (_, i) => `${name}_out${i} = at[${inputs + i + 1}];`),
  ].join(' ')
  return `#include "${main}"
#include <stddef.h>
#include <pthread.h>
#include <sched.h>
#include <time.h>
#ifdef __linux__
#include <sys/mman.h>
#endif

typedef struct napi_env__ *napi_env;
typedef struct napi_value__ *napi_value;
typedef struct napi_callback_info__ *napi_callback_info;
typedef napi_value (*napi_callback)(napi_env, napi_callback_info);
int napi_create_function(napi_env, const char *, size_t, napi_callback, void *, napi_value *);
int napi_set_named_property(napi_env, napi_value, const char *, napi_value);
int napi_get_cb_info(napi_env, napi_callback_info, size_t *, napi_value *, napi_value *, void **);
int napi_get_typedarray_info(napi_env, napi_value, int *, size_t *, void **, napi_value *, size_t *);
int napi_create_double(napi_env, double, napi_value *);
int napi_get_value_int32(napi_env, napi_value, int32_t *);

enum { spins = 4000 };
/* Of every step: items handed out, and items finished. */
static int next_item[${name}_step_count + 1], done[${name}_step_count + 1];
/* Threads that there are, and those of them that take part in a run; 0 between runs. */
static int there = 1, team;
static int generation, inside;
/* One run at a time, also of several of Node's own threads. */
static pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t wake = PTHREAD_COND_INITIALIZER;

static inline void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

/*
 * Items are handed out a run of them at a time, so that a slow thread holds up no other. A step is over when its items are finished:
 * a thread that the system doesn't let run is waited for only where it holds some.
 */
static void work(int32_t thread, int team) {
  for (int s = 0; s < ${name}_step_count; s++) {
    int from = ${name}_steps[s].from, count = ${name}_steps[s].to - from;
    int run = count / (team * 4) > 0 ? count / (team * 4) : 1;
    for (;;) {
      int at = __atomic_fetch_add(&next_item[s], run, __ATOMIC_RELAXED);
      if (at >= count) break;
      int end = at + run < count ? at + run : count;
      ${name}_steps[s].run(from + at, from + end, thread);
      __atomic_add_fetch(&done[s], end - at, __ATOMIC_RELEASE);
    }
    for (int i = 0; __atomic_load_n(&done[s], __ATOMIC_ACQUIRE) < count; i++) {
      if (i < spins) relax();
      else sched_yield();
    }
  }
}

static void *worker(void *number) {
  int seen = 0;
  for (;;) {
    for (int i = 0; i < spins && __atomic_load_n(&generation, __ATOMIC_ACQUIRE) == seen; i++) relax();
    pthread_mutex_lock(&lock);
    while (generation == seen) pthread_cond_wait(&wake, &lock);
    seen = generation;
    int in = team, enter = (int32_t)(intptr_t)number < in;
    if (enter) __atomic_add_fetch(&inside, 1, __ATOMIC_ACQ_REL);
    pthread_mutex_unlock(&lock);
    if (!enter) continue;
    work((int32_t)(intptr_t)number, in);
    __atomic_sub_fetch(&inside, 1, __ATOMIC_ACQ_REL);
  }
  return NULL;
}

/* As many threads as the system gives; it isn't asked again once it gave less. */
static int gather(int threads) {
  static int refused;
  for (; there < threads && !refused; there++) {
    pthread_t t;
    if ((refused = pthread_create(&t, NULL, worker, (void *)(intptr_t)there) != 0)) break;
    pthread_detach(t);
  }
  return there < threads ? there : threads;
}

static void run_all(int threads) {
  threads = gather(threads);
  if (threads == 1) {
    for (int i = 0; i < ${name}_step_count; i++) ${name}_steps[i].run(${name}_steps[i].from, ${name}_steps[i].to, 0);
    return;
  }
  for (int i = 0; i < ${name}_step_count; i++) next_item[i] = done[i] = 0;
  pthread_mutex_lock(&lock);
  team = threads;
  __atomic_add_fetch(&generation, 1, __ATOMIC_ACQ_REL);
  pthread_cond_broadcast(&wake);
  pthread_mutex_unlock(&lock);
  work(0, threads);
  /* Nobody comes in any more; who is inside leaves before the counts are set back. */
  pthread_mutex_lock(&lock);
  team = 0;
  pthread_mutex_unlock(&lock);
  while (__atomic_load_n(&inside, __ATOMIC_ACQUIRE) > 0) sched_yield();
}

/* The number of threads; then typed arrays: the weights, inputs, outputs. Returns the number, or 0. */
static int32_t ports(napi_env env, napi_callback_info info) {
  size_t count = ${ports + 2};
  napi_value args[${ports + 2}];
  void *at[${ports + 1}];
  int32_t threads = 0;
  napi_get_cb_info(env, info, &count, args, NULL, NULL);
  napi_get_value_int32(env, args[0], &threads);
  for (int i = 0; i < ${ports + 1}; i++)
    if (napi_get_typedarray_info(env, args[i + 1], NULL, NULL, &at[i], NULL, NULL) != 0) return 0;
  ${name}_init(at[0]);
  ${set}
  return threads;
}

static napi_value run(napi_env env, napi_callback_info info) {
  napi_value out;
  pthread_mutex_lock(&running);
  int32_t threads = ports(env, info);
  if (threads > 0) run_all(threads);
  pthread_mutex_unlock(&running);
  napi_create_double(env, threads > 0, &out);
  return out;
}

/* Runs one step on one thread with the ports of the last run, and returns its seconds: for profiles. */
static napi_value step(napi_env env, napi_callback_info info) {
  size_t count = 1;
  napi_value arg, out;
  int32_t i = 0;
  struct timespec a, b;
  napi_get_cb_info(env, info, &count, &arg, NULL, NULL);
  napi_get_value_int32(env, arg, &i);
  if (i < 0 || i >= ${name}_step_count) return NULL;
  clock_gettime(CLOCK_MONOTONIC, &a);
  ${name}_steps[i].run(${name}_steps[i].from, ${name}_steps[i].to, 0);
  clock_gettime(CLOCK_MONOTONIC, &b);
  napi_create_double(env, (double)(b.tv_sec - a.tv_sec) + 1e-9 * (double)(b.tv_nsec - a.tv_nsec), &out);
  return out;
}

/*
 * Asks for pages of 2 MB where memory is still untouched: pages of 4 kB lie anywhere, and those that meet in the same sets of the
 * second-level cache push each other out, in one process and not in the next. Where the system has none, nothing changes.
 */
static void large_pages(void *from, size_t bytes) {
#ifdef MADV_HUGEPAGE
  const uintptr_t page = (uintptr_t)1 << 21;
  uintptr_t a = ((uintptr_t)from + page - 1) & ~(page - 1), b = ((uintptr_t)from + bytes) & ~(page - 1);
  if (b > a) madvise((void *)a, b - a, MADV_HUGEPAGE);
#else
  (void)from, (void)bytes;
#endif
}

/* Bytes from the last 64-byte boundary to the first byte of an array that weights will be written to. */
static napi_value misalignment(napi_env env, napi_callback_info info) {
  size_t count = 1, bytes = 0;
  napi_value arg, out;
  void *at = NULL;
  napi_get_cb_info(env, info, &count, &arg, NULL, NULL);
  napi_get_typedarray_info(env, arg, NULL, &bytes, &at, NULL, NULL);
  large_pages(at, bytes);
  large_pages(&${name}_arena, sizeof ${name}_arena);
  napi_create_double(env, (double)((uintptr_t)at % 64), &out);
  return out;
}

napi_value napi_register_module_v1(napi_env env, napi_value exports) {
  napi_value f;
  napi_create_function(env, "misalignment", (size_t)-1, misalignment, NULL, &f);
  napi_set_named_property(env, exports, "misalignment", f);
  napi_create_function(env, "run", (size_t)-1, run, NULL, &f);
  napi_set_named_property(env, exports, "run", f);
  napi_create_function(env, "step", (size_t)-1, step, NULL, &f);
  napi_set_named_property(env, exports, "step", f);
  return exports;
}
`
}
