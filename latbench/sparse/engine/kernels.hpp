// The inner loops. Activations lie in blocks of V channels: [C / V][rows][columns][V], so that a
// group of V weights (V filters, one channel, row and column) is one or a few registers, and costs
// one broadcast and V multiply-adds for each pixel of a tile. A group that is all zero isn't there.
#pragma once
#include <cstdint>

#if defined(__AVX512F__) && defined(__AVX512VL__)
constexpr int NATIVE = 16, REGISTERS = 32;
#elif defined(__AVX2__)
constexpr int NATIVE = 8, REGISTERS = 16;
#elif defined(__aarch64__)
constexpr int NATIVE = 4, REGISTERS = 32;
#else
constexpr int NATIVE = 4, REGISTERS = 16;
#endif

// Loops whose counts are constants are unrolled whole: their arrays then are registers.
#ifdef __clang__
#define WHOLE _Pragma("clang loop unroll(full)")
#else
#define WHOLE _Pragma("GCC unroll 32")
#endif
#if defined(__x86_64__) || defined(__i386__)
#define IN_REGISTER(x) __asm__("" : "+v"(x))
#elif defined(__aarch64__)
#define IN_REGISTER(x) __asm__("" : "+w"(x))
#else
#define IN_REGISTER(x) (void)(x)
#endif
#define INLINE static inline __attribute__((always_inline))

// A vector wider than a register is lowered badly by GCC 12.2 (32 instead of 4.5 ms for a network,
// prototype of 2026-11-29), so V channels are an
// array of vectors of a register's width.
template <int V> struct Vectors {
  static constexpr int W = V < NATIVE ? V : NATIVE, Q = V / W;
  typedef float vec __attribute__((vector_size(4 * W)));
  typedef int ints __attribute__((vector_size(4 * W)));
  typedef float loose __attribute__((vector_size(4 * W), aligned(4), may_alias));
  INLINE vec load(const float *p) { return *(const loose *)p; }
  INLINE void store(float *p, vec x) { *(loose *)p = x; }
  INLINE vec all(float x) { return x - vec{}; }
};

enum Activation : int { NONE, RELU, RELU6, HSWISH, SIGMOID, SILU, HSIGMOID, ACTIVATIONS };

template <class T> INLINE T least(T a, T b) { return a < b ? a : b; }
template <class T> INLINE T most(T a, T b) { return a > b ? a : b; }

// exp by 2^n times a polynomial (Cephes' expf: relative error about 1e-7).
template <class X> INLINE typename X::vec exponential(typename X::vec x) {
  typedef typename X::vec vec;
  typedef typename X::ints ints;
  const float shift = 12582912.f; // 1.5 * 2^23: adding it rounds to an integer
  x = least<vec>(most<vec>(x, X::all(-87.f)), X::all(88.f));
  vec shifted = x * 1.44269504f + shift;
  vec n = shifted - shift;
  vec r = x - n * 0.693359375f - n * -2.12194440e-4f;
  vec p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.f;
  ints power = ((ints)shifted - (ints)X::all(shift) + 127) << 23;
  return p * (vec)power;
}

template <class X> INLINE typename X::vec sigmoid(typename X::vec x) {
  return 1.f / (1.f + exponential<X>(-x));
}

template <class X> INLINE typename X::vec activate(typename X::vec x, int kind) {
  typedef typename X::vec vec;
  const vec zero = {}, six = X::all(6.f);
  switch (kind) {
  case RELU: return most<vec>(x, zero);
  case RELU6: return least<vec>(most<vec>(x, zero), six);
  case HSWISH: return x * least<vec>(most<vec>(x + 3.f, zero), six) * (1.f / 6.f);
  case HSIGMOID: return least<vec>(most<vec>(x + 3.f, zero), six) * (1.f / 6.f);
  case SIGMOID: return sigmoid<X>(x);
  case SILU: return x * sigmoid<X>(x);
  default: return x;
  }
}

// One block of V filters on a tile of pixels. `column` and `row` are the floats between the pixels
// that neighbours of the tile read.
struct Tile {
  const float *in;
  long row, column;
  const int32_t *offsets;
  const float *weights;
  long groups;
  const float *bias;
  float *out;
  long out_row;
  const float *residual; // added before the activation; may be null
  long residual_row;
  int activation;
};
typedef void (*TileFunction)(const Tile &);

// How many pixels a tile may have: its sums, a group's weights and a broadcast fit the registers.
template <int V> constexpr int tile_limit() {
  return (REGISTERS - 1) / Vectors<V>::Q - 1 < 28 ? (REGISTERS - 1) / Vectors<V>::Q - 1 : 28;
}
// How many vectors of pixels F filters may be computed on (planes.hpp): their sums, one vector and the
// weights fit.
template <int F> constexpr int run_limit() {
  return F == 1 ? tile_limit<1>() : (REGISTERS - 1 - F) / F;
}

// COLUMN is `column` where it is known when this is compiled, so that it needs no register.
template <int V, int TH, int TW, int COLUMN> static void tile(const Tile &t) {
  typedef Vectors<V> X;
  typedef typename X::vec vec;
  constexpr int Q = X::Q, W = X::W;
  const long column = COLUMN ? COLUMN : t.column;
  vec sums[TH][TW][Q];
  WHOLE for (int i = 0; i < TH; i++) WHOLE for (int j = 0; j < TW; j++) WHOLE
  for (int q = 0; q < Q; q++) sums[i][j][q] = X::load(t.bias + q * W);
  const float *weights = t.weights;
  const long row = t.row;
  for (const int32_t *o = t.offsets, *end = o + t.groups; o < end; o++, weights += V) {
    const float *in = t.in + *o;
    vec w[Q];
    WHOLE for (int q = 0; q < Q; q++) w[q] = X::load(weights + q * W);
    WHOLE for (int i = 0; i < TH; i++) WHOLE for (int j = 0; j < TW; j++) {
      const float x = in[i * row + j * column];
      WHOLE for (int q = 0; q < Q; q++) sums[i][j][q] += w[q] * x;
    }
  }
  if (t.residual)
    WHOLE for (int i = 0; i < TH; i++) WHOLE for (int j = 0; j < TW; j++) WHOLE
    for (int q = 0; q < Q; q++)
      sums[i][j][q] += X::load(t.residual + i * t.residual_row + j * V + q * W);
  if (t.activation == RELU) {
    WHOLE for (int i = 0; i < TH; i++) WHOLE for (int j = 0; j < TW; j++) WHOLE
    for (int q = 0; q < Q; q++) sums[i][j][q] = most<vec>(sums[i][j][q], vec{});
  }
  WHOLE for (int i = 0; i < TH; i++) WHOLE for (int j = 0; j < TW; j++) WHOLE
  for (int q = 0; q < Q; q++) X::store(t.out + i * t.out_row + j * V + q * W, sums[i][j][q]);
  if (t.activation > RELU) // in a second pass: unrolled, it would be most of this library's code
    for (int i = 0; i < TH; i++)
      for (float *p = t.out + i * t.out_row, *end = p + TW * V; p < end; p += W)
        X::store(p, activate<X>(X::load(p), t.activation));
}

template <int V, int TH, int TW, int COLUMN> static constexpr TileFunction fitting() {
  if constexpr (TH * TW <= tile_limit<V>()) return tile<V, TH, TW, COLUMN>;
  return nullptr;
}
template <int V, int TW, int COLUMN> static TileFunction with_rows(int rows) {
  switch (rows) {
  case 1: return fitting<V, 1, TW, COLUMN>();
  case 2: return fitting<V, 2, TW, COLUMN>();
  case 4: return fitting<V, 4, TW, COLUMN>();
  }
  return nullptr;
}
template <int V, int COLUMN> static TileFunction with_columns(int rows, int columns) {
  switch (columns) {
  case 1: return with_rows<V, 1, COLUMN>(rows);
  case 2: return with_rows<V, 2, COLUMN>(rows);
  case 3: return with_rows<V, 3, COLUMN>(rows);
  case 4: return with_rows<V, 4, COLUMN>(rows);
  case 5: return with_rows<V, 5, COLUMN>(rows);
  case 6: return with_rows<V, 6, COLUMN>(rows);
  case 7: return with_rows<V, 7, COLUMN>(rows);
  case 8: return with_rows<V, 8, COLUMN>(rows);
  case 14: return with_rows<V, 14, COLUMN>(rows);
  case 16: return with_rows<V, 16, COLUMN>(rows);
  case 28: return with_rows<V, 28, COLUMN>(rows);
  }
  return nullptr;
}
static const int TILE_ROWS[] = {4, 2, 1};
static const int TILE_COLUMNS[] = {28, 16, 14, 8, 7, 6, 5, 4, 3, 2, 1};

// The function for a tile, null where its sums do not fit the registers. The floats between columns
// are V times the stride, or 4 times it where the network's input has at most 4 channels.
template <int V> static TileFunction tile_function(int rows, int columns, long column) {
  if (column == V) return with_columns<V, V>(rows, columns);
  if constexpr (V == 16) { // the others are for comparisons; each variant takes a second to compile
    if (column == 2 * V) return with_columns<V, 2 * V>(rows, columns);
    if (column == 4) return with_columns<V, 4>(rows, columns);
  }
  return with_columns<V, 0>(rows, columns);
}

// V filters on one pixel: a linear layer, or a convolution of a 1x1 map. Four sums, since one would
// wait for itself.
template <int V>
static void dot(const float *in, const int32_t *offsets, const float *weights, long groups,
                const float *bias, float *out) {
  typedef Vectors<V> X;
  typedef typename X::vec vec;
  constexpr int Q = X::Q, W = X::W;
  vec sums[4][Q] = {};
  long i = 0;
  for (; i + 4 <= groups; i += 4)
    WHOLE for (int j = 0; j < 4; j++) WHOLE for (int q = 0; q < Q; q++)
        sums[j][q] += X::load(weights + (i + j) * V + q * W) * in[offsets[i + j]];
  for (; i < groups; i++)
    WHOLE for (int q = 0; q < Q; q++)
        sums[0][q] += X::load(weights + i * V + q * W) * in[offsets[i]];
  for (int q = 0; q < Q; q++)
    X::store(out + q * W, (sums[0][q] + sums[1][q]) + (sums[2][q] + sums[3][q]) +
                              X::load(bias + q * W));
}

// A row of a depthwise convolution in one block of channels: `taps` x `taps` weights of V each,
// `step` floats between taps, `column` between the pixels that neighbours read.
template <int V, int TAPS>
static void depthwise_row(const float *in, long row, long step, long column, const float *weights,
                          int taps, const float *bias, float *out, int pixels, int activation) {
  typedef Vectors<V> X;
  typedef typename X::vec vec;
  constexpr int Q = X::Q, W = X::W, P = 4;
  const int k = TAPS ? TAPS : taps;
  for (int q = 0; q < Q; q++) {
    const float *from = in + q * W, *w = weights + q * W;
    const vec start = X::load(bias + q * W);
    float *to = out + q * W;
    int x = 0;
    for (; x + P <= pixels; x += P, from += P * column) {
      vec sums[P];
      WHOLE for (int p = 0; p < P; p++) sums[p] = start;
      for (int r = 0; r < k; r++)
        for (int s = 0; s < k; s++) {
          const vec weight = X::load(w + (r * k + s) * V);
          const float *tap = from + r * row + s * step;
          WHOLE for (int p = 0; p < P; p++) sums[p] += weight * X::load(tap + p * column);
        }
      WHOLE for (int p = 0; p < P; p++)
          X::store(to + (x + p) * V, activate<X>(sums[p], activation));
    }
    for (; x < pixels; x++, from += column) {
      vec sum = start;
      for (int r = 0; r < k; r++)
        for (int s = 0; s < k; s++)
          sum += X::load(w + (r * k + s) * V) * X::load(from + r * row + s * step);
      X::store(to + x * V, activate<X>(sum, activation));
    }
  }
}
