// A network whose maps lie in blocks of V channels: planned when it is loaded, then run.
#pragma once

namespace {

// A map in memory: [blocks][rows + 2 halo][columns + 2 halo][pixel]. The halo is zero and stays so;
// it is as wide as the widest padding of the convolutions that read the map.
struct Map {
  int channels = 0, rows = 0, columns = 0, halo = 0, pixel = 0, blocks = 0;
  float *memory = nullptr;
  long row() const { return (long)(columns + 2 * halo) * pixel; }
  long block() const { return row() * (rows + 2 * halo); }
  float *at(int b, long y, long x) const { return memory + b * block() + (y + halo) * row() + (x + halo) * pixel; }
  std::tuple<int, int, int, int, int> geometry() const { return {blocks, rows, columns, halo, pixel}; }
};

struct Segment {
  int start, width;
};

// Covers `size` columns with as few tiles as possible, of about equal widths up to `widest`.
std::vector<Segment> segments_of(int size, int widest) {
  std::vector<Segment> found;
  for (int start = 0; start < size;) {
    const int rest = size - start, tiles = (rest + widest - 1) / widest, wanted = (rest + tiles - 1) / tiles;
    int width = 1;
    for (int w : TILE_COLUMNS)
      // The narrowest that is wide enough, or else the widest of all.
      if (w <= widest && w <= rest && (w >= wanted || width == 1)) width = w;
    found.push_back({start, width});
    start += width;
  }
  return found;
}

// Bands of rows: as many of `highest` as fit, then lower ones.
std::vector<Segment> bands_of(int rows, int highest) {
  std::vector<Segment> found;
  for (int start = 0; start < rows;) {
    int height = highest;
    while (height > rows - start) height /= 2;
    found.push_back({start, height});
    start += height;
  }
  return found;
}

// The kept groups of a layer's weights, block of filters after block.
struct Kept {
  std::vector<long> start; // of each block's groups; one more for the end
  std::vector<int32_t> offsets;
  std::unique_ptr<Aligned> weights, bias;
  long all = 0;
};

struct Tiling {
  int rows = 0, columns = 0, order = 0; // order 1: all blocks of filters on a band, then the next band
  std::vector<Segment> bands, segments;
};

template <int V> class Sparse : public Base {
public:
  Sparse(File f, int threads) : workers_(threads) {
    file = std::move(f);
    plan();
    pack();
  }

  void run(const float *image, float *output) override {
    workers_.run([&](int part) { pass(image, output, part, nullptr); });
  }

  void profile(const float *image, float *output, int64_t *ns) override {
    workers_.run([&](int part) { pass(image, output, part, ns); });
  }

  void groups(size_t i, int64_t *kept, int64_t *all) const override {
    *kept = kept_[i].offsets.size();
    *all = kept_[i].all;
  }

  void tiles(int32_t *to) const override {
    for (const Tiling &t : tilings_) {
      *to++ = t.rows;
      *to++ = t.columns;
      *to++ = t.order;
    }
  }

  bool set_tiles(const int32_t *from) override {
    std::vector<Tiling> made(tilings_.size());
    for (size_t i = 0; i < made.size(); i++, from += 3) {
      if (!tiled(i)) {
        if (from[0] || from[1] || from[2]) return false;
        continue;
      }
      const bool known = std::count(std::begin(TILE_ROWS), std::end(TILE_ROWS), from[0]) &&
                         std::count(std::begin(TILE_COLUMNS), std::end(TILE_COLUMNS), from[1]);
      if (!known || from[0] * from[1] > tile_limit<V>() || from[2] < 0 || from[2] > 1) return false;
      made[i] = tiling(i, from[0], from[1], from[2]);
    }
    tilings_ = std::move(made);
    return true;
  }

  void tune() override;

private:
  typedef Vectors<V> X;
  typedef typename X::vec vec;

  // ---- planning

  void plan() {
    const size_t maps = file.shapes.size(), steps = file.steps.size();
    maps_.resize(maps);
    std::vector<size_t> last(maps, 0); // the step after which a map is not needed
    std::vector<bool> wide(maps, false);
    for (size_t i = 0; i < steps; i++) {
      const Record &r = file.steps[i];
      for (int j = 0; j < r.inputs; j++) {
        const int m = file.inputs(r)[j];
        last[m] = i;
        const bool window = r.kind == CONV || r.kind == DEPTHWISE;
        if (window) maps_[m].halo = std::max(maps_[m].halo, (int)r.padding);
        if (r.kind != CONV) wide[m] = true;
      }
      if (r.residual >= 0) {
        last[r.residual] = i;
        wide[r.residual] = true;
      }
    }
    last[maps - 1] = steps;
    for (size_t m = 0; m < maps; m++) {
      Map &map = maps_[m];
      const Shape &s = file.shapes[m];
      map.channels = s.channels;
      map.rows = s.rows;
      map.columns = s.columns;
      // An image of three channels would fill a fifth of a block of 16.
      map.pixel = m == 0 && !wide[0] && s.channels <= 4 ? 4 : V;
      map.blocks = (s.channels + map.pixel - 1) / map.pixel;
      // Offsets are 32 bits.
      expect(map.block() * map.blocks < 1l << 31, "a map is too large");
    }
    int64_t floats = 0;
    for (const Map &map : maps_) floats += (int64_t)map.block() * map.blocks;
    expect(floats < 1l << 31, "its maps take more than 8 GiB");
    size_t most = 0;
    for (const Record &r : file.steps) {
      if (r.kind == FLATTEN) most = std::max<size_t>(most, file.shapes[r.output].size());
      if (r.kind != FOREIGN) continue;
      size_t size = file.shapes[r.output].size();
      for (int j = 0; j < r.inputs; j++) size += file.shapes[file.inputs(r)[j]].size();
      most = std::max(most, size);
      pointers_.resize(std::max<size_t>(pointers_.size(), r.inputs));
    }
    expect(most < 1ull << 32, "a step needs more than 16 GiB");
    scratch_.resize(most);
    allot(0);
    std::map<std::tuple<int, int, int, int, int>, std::vector<float *>> free;
    for (size_t i = 0; i < steps; i++) {
      Map &out = maps_[file.steps[i].output];
      std::vector<float *> &same = free[out.geometry()];
      if (same.empty()) allot(file.steps[i].output);
      else {
        out.memory = same.back();
        same.pop_back();
      }
      for (size_t m = 1; m < maps; m++) // the image's map keeps the channels that it lacks at zero
        if (last[m] == i && maps_[m].memory && (int)m != file.steps[i].output) {
          free[maps_[m].geometry()].push_back(maps_[m].memory);
          last[m] = steps + 1;
        }
    }
  }

  void allot(int m) {
    memory_.emplace_back(new Aligned(maps_[m].block() * maps_[m].blocks));
    maps_[m].memory = memory_.back()->p;
  }

  const Map &input(const Record &r, int i = 0) const { return maps_[file.inputs(r)[i]]; }
  const Map &output(const Record &r) const { return maps_[r.output]; }
  const Map *residual(const Record &r) const { return r.residual < 0 ? nullptr : &maps_[r.residual]; }

  bool single(const Record &r) const { return output(r).rows == 1 && output(r).columns == 1; }
  bool tiled(size_t i) const { return file.steps[i].kind == CONV && !single(file.steps[i]); }
  // A 1x1 convolution of maps without halos knows no rows.
  bool flat(const Record &r) const {
    const Map *add = residual(r);
    return r.kernel == 1 && r.stride == 1 && !r.padding && !input(r).halo && !output(r).halo &&
           !(add && add->halo);
  }

  void pack() {
    kept_.resize(file.steps.size());
    tilings_.resize(file.steps.size());
    for (size_t i = 0; i < file.steps.size(); i++) {
      const Record &r = file.steps[i];
      if (r.kind == CONV) pack_conv(r, kept_[i]);
      if (r.kind == DEPTHWISE || r.kind == SCALE) pack_channels(r, kept_[i]);
      if (tiled(i)) tilings_[i] = usual(i);
    }
    std::vector<float>().swap(file.floats); // they are packed now
  }

  std::unique_ptr<Aligned> blocked(const float *from, int channels, int each) const {
    const int blocks = (channels + V - 1) / V;
    std::unique_ptr<Aligned> to(new Aligned((size_t)blocks * each * V));
    for (int c = 0; c < channels; c++)
      for (int i = 0; i < each; i++)
        to->p[((size_t)(c / V) * each + i) * V + c % V] = from[(size_t)c * each + i];
    return to;
  }

  void pack_channels(const Record &r, Kept &k) {
    const int each = r.kind == SCALE ? 1 : r.kernel * r.kernel;
    k.weights = blocked(&file.floats[r.weights], output(r).channels, each);
    k.bias = blocked(&file.floats[r.bias], output(r).channels, 1);
  }

  void pack_conv(const Record &r, Kept &k) {
    const Map &in = input(r), &out = output(r);
    const int per = in.channels / r.groups, taps = r.kernel * r.kernel, filters = out.channels / r.groups;
    const float *w = &file.floats[r.weights];
    std::vector<float> found, group(V);
    k.bias = blocked(&file.floats[r.bias], out.channels, 1);
    k.start.push_back(0);
    for (int f = 0; f < out.channels; f += V) {
      const int count = std::min(V, out.channels - f);
      // The channels that any of these filters reads, in order of their blocks, so that a line of
      // the cache serves all taps and channels that lie in it.
      const int first = f / filters * per, last = ((f + count - 1) / filters + 1) * per;
      k.all += (long)(last - first) * taps;
      for (int b = first / in.pixel * in.pixel; b < last; b += in.pixel)
        for (int tap = 0; tap < taps; tap++)
          for (int c = std::max(b, first); c < std::min(b + in.pixel, last); c++) {
            bool any = false;
            for (int v = 0; v < V; v++) {
              const int local = c - (v < count ? (f + v) / filters * per : c + 1);
              group[v] = local >= 0 && local < per ? w[((size_t)(f + v) * per + local) * taps + tap] : 0;
              any |= group[v] != 0;
            }
            if (!any) continue;
            const long y = (long)(tap / r.kernel) * r.dilation, x = (long)(tap % r.kernel) * r.dilation;
            k.offsets.push_back(c / in.pixel * in.block() + y * in.row() + x * in.pixel + c % in.pixel);
            found.insert(found.end(), group.begin(), group.end());
          }
      k.start.push_back(k.offsets.size());
    }
    k.weights.reset(new Aligned(found.size()));
    std::copy(found.begin(), found.end(), k.weights->p);
  }

  // ---- tiles

  Tiling tiling(size_t i, int rows, int columns, int order) const {
    const Record &r = file.steps[i];
    const Map &out = output(r);
    Tiling t{rows, columns, order, {}, {}};
    const bool one = flat(r);
    t.bands = bands_of(one ? 1 : out.rows, rows);
    t.segments = segments_of(one ? out.rows * out.columns : out.columns, columns);
    return t;
  }

  // The tiles that a step could have: those whose sums fill a third of the registers or more.
  std::vector<Tiling> candidates(size_t i) const {
    const Record &r = file.steps[i];
    const int high = flat(r) ? 1 : output(r).rows;
    const int wide = flat(r) ? output(r).rows * output(r).columns : output(r).columns;
    std::vector<Tiling> found;
    for (int least = tile_limit<V>() / 3; found.empty(); least /= 2)
      for (int rows : TILE_ROWS)
        for (int columns : TILE_COLUMNS)
          if (rows <= high && columns <= wide && rows * columns <= tile_limit<V>() && rows * columns >= least)
            found.push_back(tiling(i, rows, columns, 0));
    return found;
  }

  // Without measuring: the tiles whose pixels and starts are fewest.
  Tiling usual(size_t i) const {
    Tiling best;
    double least = 0;
    for (Tiling &t : candidates(i)) {
      double cost = 0;
      for (const Segment &b : t.bands)
        for (const Segment &s : t.segments) cost += b.width * s.width + 2.5;
      if (best.segments.empty() || cost < least) {
        least = cost;
        best = std::move(t);
      }
    }
    return best;
  }

  // ---- running

  static std::pair<long, long> share(long items, int part, int parts) {
    return {items * part / parts, items * (part + 1) / parts};
  }

  void pass(const float *image, float *result, int part, int64_t *ns) {
    const int parts = workers_.count();
    int64_t start = ns && !part ? now_ns() : 0;
    auto stamp = [&] {
      workers_.wait();
      if (!ns || part) return;
      const int64_t end = now_ns();
      *ns++ = end - start;
      start = end;
    };
    take(image, part, parts);
    stamp();
    for (size_t i = 0; i < file.steps.size(); i++) {
      compute(i, part, parts);
      stamp();
    }
    give(result, part, parts);
    stamp();
  }

  void take(const float *image, int part, int parts) const { unblocked_to(maps_[0], image, part, parts); }

  static void unblocked_to(const Map &m, const float *from, int part, int parts) {
    const size_t size = (size_t)m.rows * m.columns;
    const auto mine = share(m.rows, part, parts);
    for (long y = mine.first; y < mine.second; y++)
      for (int c = 0; c < m.channels; c++) {
        float *to = m.at(c / m.pixel, y, 0) + c % m.pixel;
        const float *row = from + c * size + y * m.columns;
        for (int x = 0; x < m.columns; x++) to[(long)x * m.pixel] = row[x];
      }
  }

  static void give_map(const Map &m, float *to, int part, int parts) {
    const size_t size = (size_t)m.rows * m.columns;
    const auto mine = share(m.channels, part, parts);
    for (long c = mine.first; c < mine.second; c++)
      for (int y = 0; y < m.rows; y++) {
        const float *row = m.at(c / m.pixel, y, 0) + c % m.pixel;
        for (int x = 0; x < m.columns; x++) to[c * size + y * m.columns + x] = row[(long)x * m.pixel];
      }
  }

  void give(float *result, int part, int parts) const { give_map(maps_.back(), result, part, parts); }

  void compute(size_t i, int part, int parts) {
    const Record &r = file.steps[i];
    switch (r.kind) {
    case CONV:
      if (single(r)) dots(r, kept_[i], part, parts);
      else {
        const auto mine = share(items(i, tilings_[i]), part, parts);
        convolve(r, kept_[i], tilings_[i], mine.first, mine.second);
      }
      break;
    case DEPTHWISE: depthwise(r, kept_[i], part, parts); break;
    case MAX_POOL: pool<true>(r, part, parts); break;
    case AVERAGE_POOL: pool<false>(r, part, parts); break;
    case MEAN: mean(r, part, parts); break;
    case ADD:
    case MULTIPLY:
    case ACTIVATE:
    case SCALE: elements(r, kept_[i], part, parts); break;
    case GATHER: gather(r, part, parts); break;
    case CROP:
    case ZERO: crop(r, part, parts); break;
    case FLATTEN: flatten(r, part, parts); break;
    case FOREIGN:
      if (!part) foreign(r, i);
      break;
    }
  }

  long items(size_t i, const Tiling &t) const { return (long)output(file.steps[i]).blocks * t.bands.size(); }

  void convolve(const Record &r, const Kept &k, const Tiling &t, long begin, long end) const {
    const Map &in = input(r), &out = output(r), *add = residual(r);
    const long blocks = out.blocks, bands = t.bands.size(), column = (long)in.pixel * r.stride;
    const bool one = flat(r);
    Tile tile{};
    tile.row = in.row() * r.stride;
    tile.column = column;
    tile.out_row = out.row();
    tile.residual_row = add ? add->row() : 0;
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

  void dots(const Record &r, const Kept &k, int part, int parts) const {
    const Map &in = input(r), &out = output(r), *add = residual(r);
    const auto mine = share(out.blocks, part, parts);
    for (long f = mine.first; f < mine.second; f++) {
      const long from = k.start[f];
      float *to = out.at(f, 0, 0);
      dot<V>(in.at(0, -r.padding, -r.padding), k.offsets.data() + from, k.weights->p + from * V,
             k.start[f + 1] - from, k.bias->p + f * V, to);
      for (int q = 0; q < V; q += X::W) {
        vec x = X::load(to + q);
        if (add) x += X::load(add->at(f, 0, 0) + q);
        X::store(to + q, activate<X>(x, r.activation));
      }
    }
  }

  void depthwise(const Record &r, const Kept &k, int part, int parts) const {
    const Map &in = input(r), &out = output(r);
    const auto mine = share((long)out.blocks * out.rows, part, parts);
    const auto row = r.kernel == 3 ? depthwise_row<V, 3> : r.kernel == 5 ? depthwise_row<V, 5> : depthwise_row<V, 0>;
    for (long item = mine.first; item < mine.second; item++) {
      const long b = item / out.rows, y = item % out.rows;
      row(in.at(b, y * r.stride - r.padding, -r.padding), in.row() * r.dilation, (long)V * r.dilation,
          (long)V * r.stride, k.weights->p + b * r.kernel * r.kernel * V, r.kernel, k.bias->p + b * V,
          out.at(b, y, 0), out.columns, r.activation);
    }
  }

  template <bool MAX> void pool(const Record &r, int part, int parts) const {
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

  void mean(const Record &r, int part, int parts) const {
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

  void elements(const Record &r, const Kept &k, int part, int parts) const {
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

  void gather(const Record &r, int part, int parts) const {
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

  void crop(const Record &r, int part, int parts) const {
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

  void flatten(const Record &r, int part, int parts) const {
    const Map &in = input(r), &out = output(r);
    (void)parts;
    if (part) return;
    float *flat = scratch_.data();
    give_map(in, flat, 0, 1);
    for (int c = 0; c < out.channels; c++) out.at(c / V, 0, 0)[c % V] = flat[c];
    if (r.activation)
      for (long i = 0; i < (long)out.blocks * V; i += X::W) {
        float *p = out.memory + i;
        X::store(p, activate<X>(X::load(p), r.activation));
      }
  }

  void foreign(const Record &r, size_t step) {
    float *at = scratch_.data();
    for (int j = 0; j < r.inputs; j++) {
      give_map(input(r, j), at, 0, 1);
      pointers_[j] = at;
      at += file.shapes[file.inputs(r)[j]].size();
    }
    std::fill(at, at + file.shapes[r.output].size(), 0.f);
    if (call) call(data, (int)step, pointers_.data(), at);
    unblocked_to(output(r), at, 0, 1);
  }

  Workers workers_;
  std::vector<Map> maps_;
  std::vector<std::unique_ptr<Aligned>> memory_;
  std::vector<Kept> kept_;
  std::vector<Tiling> tilings_;
  // For steps that need a copy in another layout: running asks for no memory.
  mutable std::vector<float> scratch_;
  std::vector<const float *> pointers_;
};

// One step after the other, on what the steps before it have computed. A large layer is timed on a
// part of its work. Equal layers of about equal density get the same tiles.
template <int V> void Sparse<V>::tune() {
  std::vector<float> image(file.shapes[0].size());
  for (size_t i = 0; i < image.size(); i++) image[i] = (float)((i * 2654435761u >> 8) % 2001) / 1000.f - 1.f;
  take(image.data(), 0, 1);
  std::map<std::array<long, 12>, size_t> seen;
  for (size_t i = 0; i < file.steps.size(); i++) {
    const Record &r = file.steps[i];
    if (tiled(i)) {
      const Map &in = input(r), &out = output(r);
      long density = 0;
      for (double d = 1; d * kept_[i].all * 0.84 > kept_[i].offsets.size() && density < 40; d /= 1.41) density++;
      const std::array<long, 12> key = {in.channels, in.rows, in.columns, in.halo, out.channels, out.halo,
                                        r.kernel, r.stride, r.dilation, r.residual >= 0, r.activation, density};
      const auto known = seen.find(key);
      if (known != seen.end()) {
        const Tiling &t = tilings_[known->second];
        tilings_[i] = tiling(i, t.rows, t.columns, t.order);
      } else {
        auto timed = [&](const Tiling &t, double share) {
          const long count = std::max(1l, (long)(items(i, t) * share));
          const int64_t start = now_ns();
          convolve(r, kept_[i], t, 0, count);
          return (double)(now_ns() - start) * items(i, t) / count;
        };
        timed(tilings_[i], 1);
        const double whole = timed(tilings_[i], 1), part = std::min(1.0, 2e5 / whole);
        std::vector<std::pair<double, Tiling>> times;
        for (Tiling &t : candidates(i))
          for (int order = 0; order < 2; order++) {
            t.order = order;
            timed(t, part);
            times.emplace_back(std::min(timed(t, part), timed(t, part)), t);
          }
        const auto faster = [](const auto &a, const auto &b) { return a.first < b.first; };
        std::sort(times.begin(), times.end(), faster);
        times.resize(std::min<size_t>(times.size(), 4));
        for (auto &t : times) t.first = 1e30;
        for (int n = 0; n < 7; n++) // the best four again, in turns
          for (auto &t : times) t.first = std::min(t.first, timed(t.second, std::min(1.0, 4 * part)));
        tilings_[i] = std::min_element(times.begin(), times.end(), faster)->second;
        seen[key] = i;
      }
    }
    compute(i, 0, 1);
  }
}

} // namespace
