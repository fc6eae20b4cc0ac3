// Single weights: where a group is one weight, a vector is pixels of one channel. A weight costs one
// broadcast, and a multiply-add that reads its pixels from memory for each vector of a run of them.
// Maps are planes (layout.hpp), and a run goes on over the ends of rows: what falls beside them is
// zeroed behind it. Two filters of many weights in common read their pixels together. A depthwise
// convolution is one of as many groups as channels.
#pragma once

namespace {

typedef Vectors<NATIVE> Wide;

// One or two filters on a run of pixels.
struct Run {
  const float *in;
  const int32_t *offsets;
  const float *weights; // of all filters at an offset, then those of the next
  long groups;
  const float *bias;
  float *out;
  long out_plane; // the floats between the filters
  const float *residual;
  long residual_plane;
  int filters; // that are there: of an odd number the last one is alone
  int activation;
};
typedef void (*RunFunction)(const Run &);

template <int F, int P> INLINE void add_pixels(Wide::vec (*sums)[P], const float *weights, const float *in) {
  Wide::vec w[F];
  WHOLE for (int f = 0; f < F; f++) w[f] = Wide::all(weights[f]);
  WHOLE for (int j = 0; j < P; j++) {
    Wide::vec x = Wide::load(in + j * NATIVE);
    if (F > 1) IN_REGISTER(x); // else each multiply-add reads it anew
    WHOLE for (int f = 0; f < F; f++) sums[f][j] += w[f] * x;
  }
}

// Where a run is short, a sum would wait for itself, so that there are S of each.
template <int F, int P> static void run_of_pixels(const Run &t) {
  typedef Wide::vec vec;
  constexpr int W = NATIVE, S = F * P < 4 ? 4 / (F * P) : 1;
  vec sums[S][F][P] = {};
  WHOLE for (int f = 0; f < F; f++) WHOLE for (int j = 0; j < P; j++) sums[0][f][j] = Wide::all(t.bias[f]);
  const float *w = t.weights;
  long i = 0;
  for (; i + S <= t.groups; i += S)
    WHOLE for (int s = 0; s < S; s++, w += F) add_pixels<F, P>(sums[s], w, t.in + t.offsets[i + s]);
  if (S > 1)
    for (; i < t.groups; i++, w += F) add_pixels<F, P>(sums[0], w, t.in + t.offsets[i]);
  WHOLE for (int f = 0; f < F; f++) {
    if (f >= t.filters) return;
    float *out = t.out + f * t.out_plane;
    WHOLE for (int j = 0; j < P; j++) {
      vec sum = sums[0][f][j];
      WHOLE for (int s = 1; s < S; s++) sum += sums[s][f][j];
      if (t.residual) sum += Wide::load(t.residual + f * t.residual_plane + j * W);
      if (t.activation == RELU) sum = most<vec>(sum, vec{});
      Wide::store(out + j * W, sum);
    }
    if (t.activation > RELU) // as in `tile`
      for (float *p = out, *end = p + P * W; p < end; p += W)
        Wide::store(p, activate<Wide>(Wide::load(p), t.activation));
  }
}

template <int F, int P> static constexpr RunFunction fitting_run() {
  if constexpr (P <= run_limit<F>()) return run_of_pixels<F, P>;
  return nullptr;
}
template <int F> static RunFunction run_function(int vectors) {
  switch (vectors) {
  case 1: return fitting_run<F, 1>();
  case 2: return fitting_run<F, 2>();
  case 3: return fitting_run<F, 3>();
  case 4: return fitting_run<F, 4>();
  case 5: return fitting_run<F, 5>();
  case 6: return fitting_run<F, 6>();
  case 7: return fitting_run<F, 7>();
  case 8: return fitting_run<F, 8>();
  case 14: return fitting_run<F, 14>();
  case 16: return fitting_run<F, 16>();
  case 28: return fitting_run<F, 28>();
  }
  return nullptr;
}

// Zeroes what lies beside the pixels among the floats [from, to) of a plane.
static void mend(const Map &m, float *plane, long from, long to) {
  for (long y = (int)from / (int)m.row, start = y * m.row; start < to; y++, start += m.row) {
    const long left = y < m.rows ? start + m.columns : start, end = std::min(to, start + m.row);
    for (long i = std::max(from, left); i < end; i++) plane[i] = 0;
  }
}

// Copies every `stride`-th float, and up to a vector more.
static void every(const float *from, long stride, float *to, long count) {
  if (stride == 1) {
    std::memcpy(to, from, sizeof(float) * count);
    return;
  }
#ifndef __clang__ // which makes that of the loop below
  if (stride == 2) {
    Wide::ints even;
    WHOLE for (int i = 0; i < NATIVE; i++) even[i] = 2 * i;
    for (long i = 0; i < count; i += NATIVE) {
      const float *p = from + 2 * i;
      Wide::store(to + i, __builtin_shuffle(Wide::load(p), Wide::load(p + NATIVE), even));
    }
    return;
  }
#endif
  for (long i = 0; i < count; i++) to[i] = from[i * stride];
}

// The planes of a channel that have a row's remainder.
template <> void Sparse<1>::copy_planes(const Record &r, int channel, int row, float *to) const {
  const Map &in = input(r), &out = output(r);
  const Taps taps(r);
  const long top = taps.remainder(row) - r.padding;
  // No tap reads below the padding or on its right.
  const long rows = std::min(taps.there(in.rows + r.padding - top), out.rows + (long)taps.span);
  for (int column = 0; column < taps.count; column++, to += taps.plane(out)) {
    const long left = taps.remainder(column) - r.padding;
    const long columns = std::min(taps.there(in.columns + r.padding - left), out.columns + (long)taps.span);
    const float *from = in.at(channel, top, left);
    for (long y = 0; y < rows; y++) every(from + y * r.stride * in.row, r.stride, to + y * out.row, columns);
  }
}

template <> bool Sparse<1>::prepare(const Record &r, int part, int parts) const {
  if (!copies(r) || r.kind == DEPTHWISE) return false;
  const int count = Taps(r).count;
  const auto mine = share((long)input(r).channels * count, part, parts);
  for (long item = mine.first; item < mine.second; item++)
    copy_planes(r, item / count, item % count, scratch_->p + item * count * Taps(r).plane(output(r)));
  return true;
}

template <>
void Sparse<1>::convolve(const Record &r, const Kept &k, const Tiling &t, long begin, long end, int part) const {
  const Map &in = input(r), &out = output(r), *add = residual(r);
  const long blocks = k.start.size() - 1, bands = t.bands.size();
  const bool depthwise = r.kind == DEPTHWISE;
  const Taps taps(r);
  // A channel of a depthwise convolution is copied when it is its turn, and is in the caches then.
  float *own = scratch_->p + (depthwise ? part * taps.planes * taps.plane(out) : 0);
  long copied = -1;
  Run run{};
  run.activation = r.activation;
  run.out_plane = out.block;
  run.residual_plane = add ? add->block : 0;
  for (long item = begin; item < end; item++) {
    const long block = t.order ? item % blocks : item / bands, f = block * k.width;
    const Segment &band = t.bands[t.order ? item / blocks : item % bands];
    const long start = (long)band.start * NATIVE, size = (long)band.width * NATIVE;
    if (depthwise && copies(r) && f != copied) {
      for (int row = 0; row < taps.count; row++)
        copy_planes(r, f, row, own + row * taps.count * taps.plane(out));
      copied = f;
    }
    run.in = (copies(r) ? own : in.at(depthwise ? f : 0, -r.padding, -r.padding)) + start;
    run.offsets = k.offsets.data() + k.start[block];
    run.weights = k.weights->p + k.start[block] * k.width;
    run.groups = k.start[block + 1] - k.start[block];
    run.bias = k.bias->p + f;
    run.out = out.at(f, 0, 0) + start;
    run.residual = add ? add->at(f, 0, 0) + start : nullptr;
    run.filters = std::min<long>(k.width, out.blocks - f);
    (k.width == 1 ? run_function<1> : run_function<2>)(band.width)(run);
    for (int i = 0; i < run.filters; i++) mend(out, out.at(f + i, 0, 0), start, start + size);
  }
}

// The rows of a window become one row first, of which the neighbours become one pixel then.
template <> template <bool MAX>
void Sparse<1>::pool(const Record &r, int part, int parts) const {
  typedef Wide::vec vec;
  const Map &in = input(r), &out = output(r);
  const auto mine = share(out.blocks, part, parts);
  const long size = pooled_row(r), wide = in.columns + 2l * r.padding - r.kernel + 1;
  float *high = scratch_->p + 2 * size * part, *all = high + size;
  const auto joined = [](vec a, vec b) { return MAX ? most<vec>(a, b) : a + b; };
  for (long b = mine.first; b < mine.second; b++)
    for (long y = 0; y < out.rows; y++) {
      const long top = y * r.stride - r.padding;
      const long y0 = std::max(top, 0l), y1 = std::min(top + r.kernel, (long)in.rows);
      for (long x = 0; x < in.columns; x += NATIVE) {
        vec sum = Wide::load(in.at(b, y0, x));
        for (long i = y0 + 1; i < y1; i++) sum = joined(sum, Wide::load(in.at(b, i, x)));
        Wide::store(high + r.padding + x, sum);
      }
      std::fill_n(high, r.padding, MAX ? -3.4e38f : 0.f);
      std::fill_n(high + r.padding + in.columns, r.padding, MAX ? -3.4e38f : 0.f);
      for (long x = 0; x < wide; x += NATIVE) {
        vec sum = Wide::load(high + x);
        for (long j = 1; j < r.kernel; j++) sum = joined(sum, Wide::load(high + x + j));
        Wide::store(all + x, sum);
      }
      every(all, r.stride, high, out.columns);
      for (long x = 0; x < out.columns && !MAX; x++) {
        const long left = x * r.stride - r.padding;
        const long columns = std::min(left + r.kernel, (long)in.columns) - std::max(left, 0l);
        high[x] *= 1.f / ((y1 - y0) * columns);
      }
      for (long x = 0; x < out.columns && r.activation; x += NATIVE)
        Wide::store(high + x, activate<Wide>(Wide::load(high + x), r.activation));
      std::memcpy(out.at(b, y, 0), high, sizeof(float) * out.columns);
    }
}

template <> void Sparse<1>::mean(const Record &r, int part, int parts) const {
  const Map &in = input(r), &out = output(r);
  const auto mine = share(out.blocks, part, parts);
  for (long b = mine.first; b < mine.second; b++) {
    const float *from = in.at(b, 0, 0);
    vec sum = {};
    if (in.vector()) sum = X::load(from);
    else {
      Wide::vec sums = {}; // what lies beside the pixels is zero
      for (long i = 0; i < in.rows * in.row; i += NATIVE) sums += Wide::load(from + i);
      float parts[NATIVE];
      Wide::store(parts, sums);
      WHOLE for (int half = NATIVE / 2; half; half /= 2) WHOLE
      for (int i = 0; i < half; i++) parts[i] += parts[i + half];
      sum = X::load(parts);
    }
    sum *= 1.f / ((float)in.rows * in.columns);
    X::store(out.at(b, 0, 0), activate<X>(sum, r.activation));
  }
}

template <>
void Sparse<1>::elements(const Record &r, const Kept &k, int part, int parts) const {
  const Map &out = output(r);
  const auto mine = share(out.blocks, part, parts);
  const auto planes = [&](auto vectors) {
    typedef decltype(vectors) Y;
    typedef typename Y::vec vec;
    const long size = out.rows * out.row;
    for (long b = mine.first; b < mine.second; b++) {
      float *to = out.at(b, 0, 0);
      const float *first = input(r).at(b, 0, 0);
      if (r.kind == SCALE || r.inputs == 1)
        for (long i = 0; i < size; i += Y::W) {
          vec x = Y::load(first + i);
          if (r.kind == SCALE) x = x * Y::all(k.weights->p[b]) + Y::all(k.bias->p[b]);
          Y::store(to + i, activate<Y>(x, r.activation));
        }
      for (int j = 1; j < r.inputs && r.kind != SCALE; j++) {
        const Map &other = input(r, j);
        const bool factor = other.rows * other.columns == 1 && out.rows * out.columns > 1;
        const float *from = other.at(b, 0, 0);
        const int kind = j + 1 == r.inputs ? r.activation : NONE;
        for (long i = 0; i < size; i += Y::W) {
          const vec x = Y::load((j == 1 ? first : to) + i), o = factor ? Y::all(*from) : Y::load(from + i);
          Y::store(to + i, activate<Y>(r.kind == ADD ? x + o : x * o, kind));
        }
      }
      if (Y::W > 1) mend(out, to, 0, (size + Y::W - 1) / Y::W * Y::W);
    }
  };
  if (out.vector()) planes(X{});
  else planes(Wide{});
}

} // namespace
