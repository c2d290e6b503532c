// The native peak: a C program that does nothing but arithmetic in registers.

/**
 * Arguments: kind (float32 or int8), milliseconds. Prints {"gops", "wallGops"}: billions of operations a second, a
 * multiply-add being two, of processor time and of wall time, the best of several windows. As wide as the compiler allows.
 */
export const peakSource = String.raw`
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(__AVX512F__)
#define WIDTH 64
#define CHAINS 24
#elif defined(__AVX__)
#define WIDTH 32
#define CHAINS 12
#else
#define WIDTH 16
#define CHAINS 12
#endif
#if defined(__AVX512VNNI__) || defined(__AVXVNNI__) || defined(__AVX2__)
#include <immintrin.h>
#endif
typedef float vf __attribute__((vector_size(WIDTH)));

static double now(clockid_t id) {
  struct timespec t;
  clock_gettime(id, &t);
  return t.tv_sec + t.tv_nsec * 1e-9;
}

/* a*m + x tends to x / (1 - m): no overflow, no denormals. */
static double float32(long n, float seed) {
  vf a[CHAINS], m, x;
  for (int i = 0; i < WIDTH / 4; i++) { m[i] = 0.999f; x[i] = 0.001f * seed; }
  for (int c = 0; c < CHAINS; c++) a[c] = x * (float)c;
  for (long k = 0; k < n; k++)
#pragma GCC unroll 24
    for (int c = 0; c < CHAINS; c++) a[c] = a[c] * m + x;
  vf sum = a[0];
  for (int c = 1; c < CHAINS; c++) sum += a[c];
  volatile float sink = sum[0];
  (void)sink;
  return (double)n * CHAINS * (WIDTH / 4) * 2;
}

/* Exact sums of byte products in the fastest form that the processor has. */
#if defined(__AVX512VNNI__)
#define INT8 "avx512_vnni"
typedef __m512i vi;
#define STEP(a, m) _mm512_dpbusd_epi32(a, m, m)
#define SET1 _mm512_set1_epi8
#define BYTES 64
#elif defined(__AVXVNNI__)
#define INT8 "avx_vnni"
typedef __m256i vi;
#define STEP(a, m) _mm256_dpbusd_avx_epi32(a, m, m)
#define SET1 _mm256_set1_epi8
#define BYTES 32
#elif defined(__AVX2__)
/* Bytes widened to 16 bits beforehand. */
#define INT8 "avx2 pmaddwd"
typedef __m256i vi;
#define STEP(a, m) _mm256_add_epi32(m, _mm256_madd_epi16(a, m))
#define SET1 _mm256_set1_epi16
#define BYTES 16
#endif
#ifdef INT8
static double int8(long n, int seed) {
  vi a[12], m = SET1(3 + seed);
  for (int c = 0; c < 12; c++) a[c] = m;
  for (long k = 0; k < n; k++)
#pragma GCC unroll 12
    for (int c = 0; c < 12; c++) {
      a[c] = STEP(a[c], m);
      /* Nothing may be assumed of it: without this the loop becomes one product. */
      __asm__ volatile("" : "+x"(a[c]));
    }
  volatile long long sink = 0;
  for (int c = 0; c < 12; c++) sink += a[c][0];
  return (double)n * 12 * BYTES * 2;
}
#else
#define INT8 ""
static double int8(long n, int seed) { (void)n; (void)seed; return 0; }
#endif

int main(int argc, char** argv) {
  int bytes = argc > 1 && !strcmp(argv[1], "int8");
  double window = (argc > 2 ? atof(argv[2]) : 400) / 8e3, best = 0, wallBest = 0;
  for (int w = -2; w < 8; w++) {
    double cpu = now(CLOCK_PROCESS_CPUTIME_ID), wall = now(CLOCK_MONOTONIC), ops = 0;
    while (now(CLOCK_MONOTONIC) - wall < window) ops += bytes ? int8(100000, argc) : float32(100000, argc);
    cpu = now(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    wall = now(CLOCK_MONOTONIC) - wall;
    if (w < 0) continue;
    if (ops / cpu > best) best = ops / cpu;
    if (ops / wall > wallBest) wallBest = ops / wall;
  }
  printf("{\"gops\":%.3f,\"wallGops\":%.3f,\"how\":\"%s\"}", best / 1e9, wallBest / 1e9, bytes ? INT8 : "fma");
  return 0;
}
`
