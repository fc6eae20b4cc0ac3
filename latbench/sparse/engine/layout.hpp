// How maps, kept groups and tiles lie in memory.
#pragma once

namespace {

constexpr int LINE = 16; // floats of a line of the cache

// A map in memory: [blocks][rows + 2 halo][columns + 2 halo][pixel]. The halo is zero and stays so;
// it is as wide as the widest padding of the convolutions that read the map.
//
// Where single weights are skipped, a map is planes of one channel each, computed as if they were one
// row: the halo beside a row is that of the next row, too, and the halo below a plane that of the
// next plane. A plane starts at a line of the cache, and takes an odd number of them, so that the same
// pixels of many channels do not fall into the same few sets of the cache.
struct Map {
  int channels = 0, rows = 0, columns = 0, halo = 0, pixel = 0, blocks = 0;
  long row = 0, block = 0, origin = 0; // floats between rows and blocks, and before the first pixel
  float *memory = nullptr;
  void lay_out(bool planes) {
    row = (long)(planes ? columns + halo : columns + 2 * halo) * pixel;
    origin = halo * row + (long)halo * pixel;
    if (!planes) block = row * (rows + 2 * halo);
    else if (vector()) block = 1;
    else {
      block = whole_lines(rows * row + origin);
      origin = lines(origin) * LINE;
    }
  }
  static long lines(long floats) { return (floats + LINE - 1) / LINE; }
  static long whole_lines(long floats) { return (lines(floats) | 1) * LINE; }
  bool vector() const { return rows == 1 && columns == 1 && !halo; } // its channels lie side by side
  int64_t floats() const { return (int64_t)origin + (int64_t)block * blocks; }
  float *at(int b, long y, long x) const { return memory + origin + b * block + y * row + x * pixel; }
  std::tuple<int, int, int, int, int> geometry() const { return {blocks, rows, columns, halo, pixel}; }
};

// Where a convolution's taps lie in the copy of its input that `prepare` makes: pixels that neighbours
// of the output read are neighbours there, too. For a stride of 2 a channel has up to four planes, of
// its even and odd rows and columns; in general one for each pair of remainders of a tap's place.
struct Taps {
  int stride, dilation, period, count, span; // remainders repeat after `period` taps
  long planes;                               // of a channel
  explicit Taps(const Record &r)
      : stride(r.stride), dilation(r.dilation), period(r.stride / std::gcd(r.stride, r.dilation)),
        count(std::min(r.kernel, period)), span((r.kernel - 1) * r.dilation / r.stride),
        planes((long)count * count) {}
  int remainder(int tap) const { return tap % period * dilation % stride; }
  long there(long size) const { return (size - 1) / stride + 1; } // the pixels of so many that are copied
  // The floats of a plane: as many rows as taps reach, and what a vector may be longer.
  long plane(const Map &out) const { return Map::whole_lines((out.rows + span) * out.row + span + NATIVE); }
  // Of so many channels.
  int64_t floats(const Map &out, int channels) const {
    // As a floating-point number first, which cannot overflow.
    expect((double)plane(out) * planes * channels < 1l << 31, "a map is too large");
    return plane(out) * planes * channels;
  }
  long at(const Map &out, int channel, int row, int column) const {
    const long plane_of = (channel * (long)count + row % period) * count + column % period;
    return plane_of * plane(out) + row * dilation / stride * out.row + column * dilation / stride;
  }
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

// The kept groups of a layer's weights, block of `width` filters after block.
struct Kept {
  int width = 0;
  std::vector<long> start; // of each block's groups; one more for the end
  std::vector<int32_t> offsets;
  std::unique_ptr<Aligned> weights, bias;
  long kept = 0, all = 0; // groups
};

struct Tiling {
  int rows = 0, columns = 0, order = 0; // order 1: all blocks of filters on a band, then the next band
  std::vector<Segment> bands, segments;
};

// A thread's items of so many.
std::pair<long, long> share(long items, int part, int parts) {
  return {items * part / parts, items * (part + 1) / parts};
}

// From and to the order (channel, row, column).
void unblocked_to(const Map &m, const float *from, int part, int parts) {
  const size_t size = (size_t)m.rows * m.columns;
  const auto mine = share(m.rows, part, parts);
  for (long y = mine.first; y < mine.second; y++)
    for (int c = 0; c < m.channels; c++) {
      float *to = m.at(c / m.pixel, y, 0) + c % m.pixel;
      const float *row = from + c * size + y * m.columns;
      for (int x = 0; x < m.columns; x++) to[(long)x * m.pixel] = row[x];
    }
}

void give_map(const Map &m, float *to, int part, int parts) {
  const size_t size = (size_t)m.rows * m.columns;
  const auto mine = share(m.channels, part, parts);
  for (long c = mine.first; c < mine.second; c++)
    for (int y = 0; y < m.rows; y++) {
      const float *row = m.at(c / m.pixel, y, 0) + c % m.pixel;
      for (int x = 0; x < m.columns; x++) to[c * size + y * m.columns + x] = row[(long)x * m.pixel];
    }
}

} // namespace
