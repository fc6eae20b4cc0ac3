// The computation of each kind of step: a thread's part of it.
#pragma once

namespace {

template <int V>
bool Sparse<V>::prepare(const Record &r, int part, int parts) const {
  (void)r, (void)part, (void)parts;
  return false;
}

template <int V>
void Sparse<V>::convolve(const Record &r, const Kept &k, const Tiling &t, long begin, long end, int part) const {
  (void)part;
  const Map &in = input(r), &out = output(r), *add = residual(r);
  const long blocks = out.blocks, bands = t.bands.size(), column = (long)in.pixel * r.stride;
  const bool one = flat(r);
  Tile tile{};
  tile.row = in.row * r.stride;
  tile.column = column;
  tile.out_row = out.row;
  tile.residual_row = add ? add->row : 0;
  tile.activation = r.activation;
  for (long item = begin; item < end; item++) {
    const long f = t.order ? item % blocks : item / bands;
    const Segment &band = t.bands[t.order ? item / blocks : item % bands];
    const long from = k.start[f];
    tile.offsets = k.offsets.data() + from;
    tile.weights = k.weights->p + from * V;
    tile.groups = k.start[f + 1] - from;
    tile.bias = k.bias->p + f * V;
    for (const Segment &s : t.segments) {
      const long y = one ? 0 : band.start;
      tile.in = in.at(0, y * r.stride - r.padding, (long)s.start * r.stride - r.padding);
      tile.out = out.at(f, y, s.start);
      tile.residual = add ? add->at(f, y, s.start) : nullptr;
      tile_function<V>(band.width, s.width, column)(tile);
    }
  }
}

template <int V>
void Sparse<V>::dots(const Record &r, const Kept &k, int part, int parts) const {
  const Map &in = input(r), &out = output(r), *add = residual(r);
  const auto mine = share((out.channels + DOT - 1) / DOT, part, parts);
  for (long f = mine.first; f < mine.second; f++) {
    const long from = k.start[f];
    float sums[DOT];
    dot<DOT>(in.at(0, -r.padding, -r.padding), k.offsets.data() + from, k.weights->p + from * DOT,
             k.start[f + 1] - from, k.bias->p + f * DOT, sums);
    for (int v = 0; v < std::min(DOT, out.blocks * V - (int)f * DOT); v += X::W) {
      const long b = (f * DOT + v) / V;
      vec x = X::load(sums + v);
      if (add) x += X::load(add->at(b, 0, 0) + v % V);
      X::store(out.at(b, 0, 0) + v % V, activate<X>(x, r.activation));
    }
  }
}

template <int V>
void Sparse<V>::depthwise(const Record &r, const Kept &k, int part, int parts) const {
  const Map &in = input(r), &out = output(r);
  const auto mine = share((long)out.blocks * out.rows, part, parts);
  const auto row = r.kernel == 3 ? depthwise_row<V, 3> : r.kernel == 5 ? depthwise_row<V, 5> : depthwise_row<V, 0>;
  for (long item = mine.first; item < mine.second; item++) {
    const long b = item / out.rows, y = item % out.rows;
    row(in.at(b, y * r.stride - r.padding, -r.padding), in.row * r.dilation, (long)V * r.dilation,
        (long)V * r.stride, k.weights->p + b * r.kernel * r.kernel * V, r.kernel, k.bias->p + b * V,
        out.at(b, y, 0), out.columns, r.activation);
  }
}

template <int V> template <bool MAX>
void Sparse<V>::pool(const Record &r, int part, int parts) const {
  const Map &in = input(r), &out = output(r);
  const auto mine = share((long)out.blocks * out.rows, part, parts);
  for (long item = mine.first; item < mine.second; item++) {
    const long b = item / out.rows, y = item % out.rows;
    const int top = y * r.stride - r.padding;
    const int y0 = std::max(top, 0), y1 = std::min(top + r.kernel, in.rows);
    for (int x = 0; x < out.columns; x++) {
      const int left = x * r.stride - r.padding;
      const int x0 = std::max(left, 0), x1 = std::min(left + r.kernel, in.columns);
      for (int q = 0; q < V; q += X::W) {
        vec sum = MAX ? X::all(-3.4e38f) : vec{};
        for (int i = y0; i < y1; i++)
          for (int j = x0; j < x1; j++) {
            const vec value = X::load(in.at(b, i, j) + q);
            sum = MAX ? most<vec>(sum, value) : sum + value;
          }
        if (!MAX) sum *= 1.f / ((y1 - y0) * (x1 - x0));
        X::store(out.at(b, y, x) + q, activate<X>(sum, r.activation));
      }
    }
  }
}

template <int V>
void Sparse<V>::mean(const Record &r, int part, int parts) const {
  const Map &in = input(r), &out = output(r);
  const auto mine = share(out.blocks, part, parts);
  for (long b = mine.first; b < mine.second; b++)
    for (int q = 0; q < V; q += X::W) {
      vec sum = {};
      for (int y = 0; y < in.rows; y++) {
        vec row = {};
        const float *p = in.at(b, y, 0) + q;
        for (int x = 0; x < in.columns; x++) row += X::load(p + (long)x * V);
        sum += row;
      }
      sum *= 1.f / ((float)in.rows * in.columns);
      X::store(out.at(b, 0, 0) + q, activate<X>(sum, r.activation));
    }
}

template <int V>
void Sparse<V>::elements(const Record &r, const Kept &k, int part, int parts) const {
  const Map &out = output(r);
  const auto mine = share((long)out.blocks * out.rows, part, parts);
  for (long item = mine.first; item < mine.second; item++) {
    const long b = item / out.rows, y = item % out.rows;
    float *to = out.at(b, y, 0);
    const float *first = input(r).at(b, y, 0);
    const long size = (long)out.columns * V;
    if (r.kind == SCALE || r.inputs == 1) {
      for (long i = 0; i < size; i += X::W) {
        vec x = X::load(first + i);
        if (r.kind == SCALE) x = x * X::load(k.weights->p + b * V + i % V) + X::load(k.bias->p + b * V + i % V);
        X::store(to + i, activate<X>(x, r.activation));
      }
      continue;
    }
    for (int j = 1; j < r.inputs; j++) {
      const Map &other = input(r, j);
      const bool factor = other.rows * other.columns == 1 && out.rows * out.columns > 1;
      const float *from = other.at(b, factor ? 0 : y, 0);
      const int kind = j + 1 == r.inputs ? r.activation : NONE;
      for (long i = 0; i < size; i += X::W) {
        const vec x = X::load((j == 1 ? first : to) + i), o = X::load(from + (factor ? i % V : i));
        X::store(to + i, activate<X>(r.kind == ADD ? x + o : x * o, kind));
      }
    }
  }
}

template <int V>
void Sparse<V>::gather(const Record &r, int part, int parts) const {
  const Map &out = output(r);
  const int32_t *table = &file.numbers[r.table];
  const auto mine = share(out.blocks, part, parts);
  for (long b = mine.first; b < mine.second; b++) {
    const int count = std::min(V, out.channels - (int)b * V);
    const int32_t *t = table + b * V * 2;
    bool whole = t[1] % V == 0; // the block is one of an input
    for (int v = 1; v < count && whole; v++) whole = t[2 * v] == t[0] && t[2 * v + 1] == t[1] + v;
    for (int y = 0; y < out.rows; y++) {
      float *to = out.at(b, y, 0);
      if (whole) std::memcpy(to, input(r, t[0]).at(t[1] / V, y, 0), sizeof(float) * V * out.columns);
      else
        for (int v = 0; v < count; v++) {
          const float *from = input(r, t[2 * v]).at(t[2 * v + 1] / V, y, 0) + t[2 * v + 1] % V;
          for (int x = 0; x < out.columns; x++) to[(long)x * V + v] = from[(long)x * V];
        }
      if (r.activation)
        for (long i = 0; i < (long)out.columns * V; i += X::W) X::store(to + i, activate<X>(X::load(to + i), r.activation));
    }
  }
}

template <int V>
void Sparse<V>::crop(const Record &r, int part, int parts) const {
  const Map &in = input(r), &out = output(r);
  const auto mine = share((long)out.blocks * out.rows, part, parts);
  for (long item = mine.first; item < mine.second; item++) {
    const long b = item / out.rows, y = item % out.rows;
    float *to = out.at(b, y, 0);
    const long rest = r.kind == CROP && y + r.top < in.rows ? in.columns - (long)r.left : 0;
    const long copied = std::max(0l, std::min(rest, (long)out.columns));
    if (copied) std::memcpy(to, in.at(b, y + r.top, r.left), sizeof(float) * V * copied);
    std::memset(to + copied * V, 0, sizeof(float) * V * (out.columns - copied));
    if (r.activation)
      for (long i = 0; i < (long)out.columns * V; i += X::W) X::store(to + i, activate<X>(X::load(to + i), r.activation));
  }
}

template <int V>
void Sparse<V>::flatten(const Record &r, int part, int parts) const {
  const Map &in = input(r), &out = output(r);
  (void)parts;
  if (part) return;
  float *flat = scratch_->p;
  give_map(in, flat, 0, 1);
  for (int c = 0; c < out.channels; c++) out.at(c / V, 0, 0)[c % V] = flat[c];
  if (r.activation)
    for (long i = 0; i < (long)out.blocks * V; i += X::W) {
      float *p = out.at(i / V, 0, 0) + i % V;
      X::store(p, activate<X>(X::load(p), r.activation));
    }
}

template <int V>
void Sparse<V>::foreign(const Record &r, size_t step) {
  float *at = scratch_->p;
  for (int j = 0; j < r.inputs; j++) {
    give_map(input(r, j), at, 0, 1);
    pointers_[j] = at;
    at += file.shapes[file.inputs(r)[j]].size();
  }
  std::fill(at, at + file.shapes[r.output].size(), 0.f);
  if (call) call(data, (int)step, pointers_.data(), at);
  unblocked_to(output(r), at, 0, 1);
}

} // namespace
