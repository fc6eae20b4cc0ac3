// How maps, kept groups and tiles lie in memory.
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

} // namespace
