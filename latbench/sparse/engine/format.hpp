// The file of a network, and what a step of it is. latbench/sparse/program.py writes it.
//
//   char magic[8] "LBSPARSE"; int32 version, group, maps, steps, numbers, tilings; int64 floats
//   int32 shape[maps][3]          channels, rows, columns; map 0 is the image, the last the output
//   Record record[steps]
//   int32 number[numbers]         the steps' inputs and channel tables
//   float weight[floats]          dense: (filters, channels / groups, kernel, kernel)
//   int32 tiling[tilings][4 + 3 * steps]   floats of a register, group, threads, 0; tiles
//
// All of it is little-endian. A file is checked before anything of it is used.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

namespace {

enum Kind : int32_t {
  CONV,      // weights, bias
  DEPTHWISE, // the same with as many groups as channels
  MAX_POOL,
  AVERAGE_POOL, // without the padding
  MEAN,         // over rows and columns
  ADD,          // any number of inputs
  MULTIPLY,     // inputs of 1 x 1 are factors of a channel
  SCALE,        // weights[channel] * x + bias[channel]
  ACTIVATE,
  GATHER, // output channel i is channel table[2 i + 1] of input table[2 i]
  CROP,   // from (top, left) on; zero outside
  ZERO,
  FLATTEN, // to channels, in the order (channel, row, column)
  FOREIGN, // computed by the caller
  KINDS
};

struct Record {
  int32_t kind, activation, first, inputs, output, residual;
  int32_t kernel, stride, padding, dilation, groups, table, top, left;
  int64_t weights, bias; // indices of floats; -1 for none
};
static_assert(sizeof(Record) == 72, "the file's records have 72 bytes");

struct Shape {
  int32_t channels, rows, columns;
  int64_t size() const { return (int64_t)channels * rows * columns; }
  bool operator==(const Shape &o) const {
    return channels == o.channels && rows == o.rows && columns == o.columns;
  }
};

struct Header {
  char magic[8];
  int32_t version, group, maps, steps, numbers, tilings;
  int64_t floats;
};

struct File {
  int32_t group = 16;
  std::vector<Shape> shapes;
  std::vector<Record> steps;
  std::vector<int32_t> numbers, tilings;
  std::vector<float> floats;

  const int32_t *inputs(const Record &r) const { return &numbers[r.first]; }
};

struct Reader {
  const char *at, *end;
  template <class T> void take(T *to, int64_t count) {
    if (count < 0 || count > (int64_t)((end - at) / sizeof(T))) throw std::runtime_error("the file is cut off");
    if (count) std::memcpy(to, at, count * sizeof(T));
    at += count * sizeof(T);
  }
  template <class T> void fill(std::vector<T> &to, int64_t count) {
    if (count < 0 || count > (int64_t)((end - at) / sizeof(T))) throw std::runtime_error("the file is cut off");
    to.resize(count);
    take(to.data(), count);
  }
};

void expect(bool right, const char *what) {
  if (!right) throw std::runtime_error(what);
}

bool span(int64_t start, int64_t count, int64_t size) {
  return start >= 0 && count >= 0 && start <= size && count <= size - start;
}

void check_window(const Record &r, int32_t in, int32_t out) {
  const int64_t size = (int64_t)in + 2 * r.padding - (int64_t)r.dilation * (r.kernel - 1) - 1;
  expect(size >= 0 && size / r.stride + 1 == out, "a window does not fit its map");
}

void check_step(const File &f, size_t i, std::vector<bool> &made) {
  const Record &r = f.steps[i];
  const int32_t maps = f.shapes.size();
  expect(r.kind >= 0 && r.kind < KINDS, "a step has an unknown kind");
  expect(r.activation >= 0 && r.activation < ACTIVATIONS, "a step has an unknown activation");
  expect(r.inputs >= 1 && span(r.first, r.inputs, f.numbers.size()), "a step's inputs are not there");
  expect(r.output > 0 && r.output < maps && !made[r.output], "a step's output is not its own");
  const Shape &out = f.shapes[r.output];
  for (int j = 0; j < r.inputs; j++) {
    const int32_t m = f.inputs(r)[j];
    expect(m >= 0 && m < maps && made[m], "a step reads what is not there yet");
  }
  const Shape &in = f.shapes[f.inputs(r)[0]];
  if (r.residual >= 0)
    expect(r.kind == CONV && r.residual < maps && made[r.residual] && f.shapes[r.residual] == out,
           "a residual does not fit");
  switch (r.kind) {
  case CONV:
  case DEPTHWISE: {
    expect(r.kernel >= 1 && r.stride >= 1 && r.dilation >= 1 && r.padding >= 0 && r.groups >= 1 &&
               r.kernel < 1 << 15 && r.padding < 1 << 15 && r.dilation < 1 << 15,
           "a convolution has impossible sizes");
    expect(in.channels % r.groups == 0 && out.channels % r.groups == 0, "groups do not divide");
    if (r.kind == DEPTHWISE)
      expect(r.groups == in.channels && in.channels == out.channels, "a depthwise step has other groups");
    check_window(r, in.rows, out.rows);
    check_window(r, in.columns, out.columns);
    // As a floating-point number first, which cannot overflow.
    expect((double)out.channels * (in.channels / r.groups) * r.kernel * r.kernel <= (double)f.floats.size(),
           "weights are not there");
    expect(span(r.weights, (int64_t)out.channels * (in.channels / r.groups) * r.kernel * r.kernel,
                f.floats.size()) &&
               span(r.bias, out.channels, f.floats.size()),
           "weights are not there");
    break;
  }
  case MAX_POOL:
  case AVERAGE_POOL:
    expect(r.kernel >= 1 && r.stride >= 1 && r.dilation == 1 && r.padding >= 0 &&
               r.padding <= r.kernel / 2 && r.kernel < 1 << 15,
           "a pool has impossible sizes");
    expect(in.channels == out.channels, "a pool changes the channels");
    check_window(r, in.rows, out.rows);
    check_window(r, in.columns, out.columns);
    break;
  case MEAN:
    expect(out == Shape{in.channels, 1, 1}, "a mean has another shape");
    break;
  case ADD:
  case MULTIPLY:
    for (int j = 0; j < r.inputs; j++) {
      const Shape &s = f.shapes[f.inputs(r)[j]];
      expect(s == out || (r.kind == MULTIPLY && j && s == Shape{out.channels, 1, 1}), "operands do not fit");
    }
    break;
  case SCALE:
    expect(span(r.weights, out.channels, f.floats.size()) && span(r.bias, out.channels, f.floats.size()),
           "weights are not there");
    [[fallthrough]];
  case ACTIVATE: expect(in == out, "an activation changes the shape"); break;
  case GATHER:
    expect(span(r.table, 2 * (int64_t)out.channels, f.numbers.size()), "a table is not there");
    for (int c = 0; c < out.channels; c++) {
      const int32_t from = f.numbers[r.table + 2 * c], channel = f.numbers[r.table + 2 * c + 1];
      expect(from >= 0 && from < r.inputs, "a table names another input");
      const Shape &s = f.shapes[f.inputs(r)[from]];
      expect(channel >= 0 && channel < s.channels && s.rows == out.rows && s.columns == out.columns,
             "a table names another channel");
    }
    break;
  case CROP:
    expect(in.channels == out.channels && r.top >= 0 && r.left >= 0, "a crop changes the channels");
    break;
  case FLATTEN: expect(out == Shape{(int32_t)in.size(), 1, 1}, "a flattening has another shape"); break;
  default: break; // the shapes of ZERO and FOREIGN are what they are
  }
  made[r.output] = true;
}

File read_file(const void *bytes, size_t size) {
  Reader from{(const char *)bytes, (const char *)bytes + size};
  Header h;
  from.take(&h, 1);
  expect(!std::memcmp(h.magic, "LBSPARSE", 8), "it is no file of latbench.sparse");
  expect(h.version == 1, "it was written by another version of latbench");
  File f;
  f.group = h.group;
  from.fill(f.shapes, h.maps);
  from.fill(f.steps, h.steps);
  from.fill(f.numbers, h.numbers);
  from.fill(f.floats, h.floats);
  from.fill(f.tilings, (int64_t)h.tilings * (4 + 3 * (int64_t)h.steps));
  expect(from.at == from.end, "it is longer than it says");
  expect(h.maps >= 2 && h.steps >= 1, "it has no steps");
  for (const Shape &s : f.shapes)
    expect(s.channels >= 1 && s.rows >= 1 && s.columns >= 1 && s.channels < 1 << 24 && s.rows < 1 << 16 &&
               s.columns < 1 << 16 && s.size() < 1 << 30,
           "a map has an impossible shape");
  std::vector<bool> made(f.shapes.size());
  made[0] = true;
  for (size_t i = 0; i < f.steps.size(); i++) check_step(f, i, made);
  expect(made.back(), "nothing computes the output");
  return f;
}

} // namespace
