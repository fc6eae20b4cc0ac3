// A network whose maps lie in blocks of V channels: planned when it is loaded, then run. With V = 1
// the vectors go over pixels instead (planes.hpp).
#pragma once

namespace {

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
    *kept = kept_[i].kept;
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
      if (PLANES && from[0] != 1) return false;
      made[i] = tiling(i, from[0], from[1], from[2]);
    }
    tilings_ = std::move(made);
    return true;
  }

  void tune() override;

private:
  typedef Vectors<V> X;
  typedef typename X::vec vec;
  static constexpr bool PLANES = V == 1;
  static constexpr int DOT = PLANES ? 16 : V; // the filters of a group where the output is one pixel

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
      map.pixel = !PLANES && m == 0 && !wide[0] && s.channels <= 4 ? 4 : V;
      map.blocks = (s.channels + map.pixel - 1) / map.pixel;
    }
    if (PLANES) equal_halos();
    int64_t floats = 0;
    for (Map &map : maps_) {
      map.lay_out(PLANES);
      // Offsets are 32 bits.
      expect(map.floats() < 1l << 31, "a map is too large");
      floats += map.floats();
    }
    expect(floats < 1l << 31, "its maps take more than 8 GiB");
    int64_t most = 0;
    for (const Record &r : file.steps) {
      most = std::max(most, copied(r));
      if (r.kind == FOREIGN) pointers_.resize(std::max<size_t>(pointers_.size(), r.inputs));
    }
    expect(most < 1l << 31, "a step needs more than 8 GiB");
    scratch_.reset(new Aligned(most));
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

  // All maps of a size get one halo, so that the same pixels lie at the same places in them. It also
  // has the room for the last pixels of the rows that `prepare` copies.
  void equal_halos() {
    std::map<std::pair<int, int>, int> halos;
    for (const Map &map : maps_) {
      int &most = halos[{map.rows, map.columns}];
      most = std::max(most, map.halo);
    }
    for (size_t i = 0; i < file.steps.size(); i++)
      if (tiled(i) && copies(file.steps[i])) {
        const Map &out = output(file.steps[i]);
        int &most = halos[{out.rows, out.columns}];
        most = std::max(most, Taps(file.steps[i]).span);
      }
    for (Map &map : maps_) map.halo = halos[{map.rows, map.columns}];
  }

  // The floats of a copy in another layout that a step makes.
  int64_t copied(const Record &r) const {
    int64_t size = file.shapes[r.output].size();
    switch (r.kind) {
    case FOREIGN:
      for (int j = 0; j < r.inputs; j++) size += file.shapes[file.inputs(r)[j]].size();
      return size;
    case FLATTEN: return size;
    case CONV:
      return copies(r) ? Taps(r).floats(output(r), input(r).channels) : 0;
    case DEPTHWISE: return copies(r) ? Taps(r).floats(output(r), workers_.count()) : 0;
    case MAX_POOL:
    case AVERAGE_POOL: return PLANES ? 2 * pooled_row(r) * workers_.count() : 0;
    default: return 0;
    }
  }
  // A row with its padding, and what a vector may be longer.
  long pooled_row(const Record &r) const {
    return Map::whole_lines(input(r).columns + 2l * r.padding + 2 * NATIVE);
  }

  void allot(int m) {
    memory_.emplace_back(new Aligned(maps_[m].floats()));
    maps_[m].memory = memory_.back()->p;
  }

  const Map &input(const Record &r, int i = 0) const { return maps_[file.inputs(r)[i]]; }
  const Map &output(const Record &r) const { return maps_[r.output]; }
  const Map *residual(const Record &r) const { return r.residual < 0 ? nullptr : &maps_[r.residual]; }

  bool single(const Record &r) const { return output(r).rows == 1 && output(r).columns == 1; }
  bool tiled(size_t i) const {
    const Record &r = file.steps[i];
    return (r.kind == CONV || (PLANES && r.kind == DEPTHWISE)) && !single(r);
  }
  // Whether a convolution reads a copy of its planes: neighbours of the output do not read neighbours
  // of the input, or their rows have other lengths.
  bool copies(const Record &r) const {
    return PLANES && !single(r) && (r.stride > 1 || input(r).rows != output(r).rows);
  }
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
      if (r.kind == CONV || (PLANES && r.kind == DEPTHWISE)) {
        // Two filters that have most weights in common read fewer pixels together.
        const bool pairs = PLANES && r.kind == CONV && tiled(i);
        kept_[i] = packed(r, pairs ? 2 : tiled(i) ? V : DOT);
        if (pairs && 5 * (long)kept_[i].offsets.size() > 4 * kept_[i].kept) kept_[i] = packed(r, 1);
      } else if (r.kind == DEPTHWISE || r.kind == SCALE) pack_channels(r, kept_[i]);
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

  // The weights of a convolution in blocks of so many filters.
  Kept packed(const Record &r, const int width) const {
    const Map &in = input(r), &out = output(r);
    const int per = in.channels / r.groups, taps = r.kernel * r.kernel, filters = out.channels / r.groups;
    const float *w = &file.floats[r.weights];
    const Taps places(r);
    std::vector<float> found, group(width);
    Kept k;
    k.width = width;
    k.bias = blocked(&file.floats[r.bias], out.channels, 1);
    k.start.push_back(0);
    for (int f = 0; f < out.channels; f += width) {
      const int count = std::min(width, out.channels - f);
      // The channels that any of these filters reads, in order of their blocks, so that a line of
      // the cache serves all taps and channels that lie in it.
      const int first = f / filters * per, last = ((f + count - 1) / filters + 1) * per;
      k.all += (long)(PLANES ? count * per : last - first) * taps;
      for (int b = first / in.pixel * in.pixel; b < last; b += in.pixel)
        for (int tap = 0; tap < taps; tap++)
          for (int c = std::max(b, first); c < std::min(b + in.pixel, last); c++) {
            int weights = 0;
            for (int v = 0; v < width; v++) {
              const int local = c - (v < count ? (f + v) / filters * per : c + 1);
              group[v] = local >= 0 && local < per ? w[((size_t)(f + v) * per + local) * taps + tap] : 0;
              weights += group[v] != 0;
            }
            if (!weights) continue;
            k.kept += PLANES ? weights : 1;
            const int row = tap / r.kernel, column = tap % r.kernel;
            const long y = (long)row * r.dilation, x = (long)column * r.dilation;
            const int from = PLANES && r.kind == DEPTHWISE && !single(r) ? 0 : c; // its own channel's plane
            k.offsets.push_back(copies(r) ? places.at(out, from, row, column)
                                          : from / in.pixel * in.block + y * in.row + x * in.pixel + from % in.pixel);
            found.insert(found.end(), group.begin(), group.end());
          }
      k.start.push_back(k.offsets.size());
    }
    k.weights.reset(new Aligned(found.size()));
    std::copy(found.begin(), found.end(), k.weights->p);
    return k;
  }

  // ---- tiles

  Tiling tiling(size_t i, int rows, int columns, int order) const {
    const Record &r = file.steps[i];
    const Map &out = output(r);
    Tiling t{rows, columns, order, {}, {}};
    const bool one = flat(r);
    if (PLANES) { // bands of vectors
      t.bands = segments_of((out.rows * out.row + NATIVE - 1) / NATIVE, std::min(columns, most_pixels(i)));
      t.segments = {{0, 1}};
      return t;
    }
    t.bands = bands_of(one ? 1 : out.rows, rows);
    t.segments = segments_of(one ? out.rows * out.columns : out.columns, columns);
    return t;
  }

  int most_pixels(size_t i) const {
    return !PLANES ? tile_limit<V>() : kept_[i].width == 1 ? run_limit<1>() : run_limit<2>();
  }

  // The tiles that a step could have: those whose sums fill a third of the registers or more.
  std::vector<Tiling> candidates(size_t i) const {
    const Record &r = file.steps[i];
    const Map &out = output(r);
    const int high = PLANES || flat(r) ? 1 : out.rows;
    const int wide = PLANES    ? (out.rows * out.row + NATIVE - 1) / NATIVE
                     : flat(r) ? out.rows * out.columns
                               : out.columns;
    const int limit = most_pixels(i);
    std::vector<Tiling> found;
    for (int least = PLANES ? 2 : limit / 3; found.empty(); least /= 2)
      for (int rows : TILE_ROWS)
        for (int columns : TILE_COLUMNS)
          if (rows <= high && columns <= wide && rows * columns <= limit && rows * columns >= least)
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
  void give(float *result, int part, int parts) const { give_map(maps_.back(), result, part, parts); }

  void compute(size_t i, int part, int parts) {
    const Record &r = file.steps[i];
    switch (r.kind) {
    case CONV:
    case DEPTHWISE:
      if (tiled(i)) {
        if (prepare(r, part, parts) && parts > 1) workers_.wait();
        const auto mine = share(items(i, tilings_[i]), part, parts);
        convolve(r, kept_[i], tilings_[i], mine.first, mine.second, part);
      } else if (PLANES || r.kind == CONV) dots(r, kept_[i], part, parts);
      else depthwise(r, kept_[i], part, parts);
      break;
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

  long items(size_t i, const Tiling &t) const { return (long)(kept_[i].start.size() - 1) * t.bands.size(); }

  // Copies what a convolution does not read as it lies; returns whether there is such a thing.
  bool prepare(const Record &r, int part, int parts) const;
  void copy_planes(const Record &r, int channel, int row, float *to) const;
  void convolve(const Record &r, const Kept &k, const Tiling &t, long begin, long end, int part) const;
  void dots(const Record &r, const Kept &k, int part, int parts) const;
  void depthwise(const Record &r, const Kept &k, int part, int parts) const;
  template <bool MAX> void pool(const Record &r, int part, int parts) const;
  void mean(const Record &r, int part, int parts) const;
  void elements(const Record &r, const Kept &k, int part, int parts) const;
  void gather(const Record &r, int part, int parts) const;
  void crop(const Record &r, int part, int parts) const;
  void flatten(const Record &r, int part, int parts) const;
  void foreign(const Record &r, size_t step);

  Workers workers_;
  std::vector<Map> maps_;
  std::vector<std::unique_ptr<Aligned>> memory_;
  std::vector<Kept> kept_;
  std::vector<Tiling> tilings_;
  // For steps that need a copy in another layout: running asks for no memory.
  std::unique_ptr<Aligned> scratch_;
  std::vector<const float *> pointers_;
};

} // namespace
