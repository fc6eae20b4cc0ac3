// A network on one CPU, step after step. The same file is compiled for every instruction set.
#define LATBENCH_SPARSE_BUILD
#include "latbench_sparse.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdlib>
#include <ctime>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <thread>
#include <tuple>

#include "kernels.hpp" // before format.hpp, which checks activations by it
#include "format.hpp"

namespace {

thread_local std::string last_error;

int64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

inline void pause_briefly() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#endif
}

struct Aligned {
  float *p = nullptr;
  explicit Aligned(size_t floats) {
    void *memory;
    // Some more than asked for: a vector may be read at the last value.
    if (posix_memalign(&memory, 64, (floats + 64) * sizeof(float))) throw std::bad_alloc();
    p = (float *)std::memset(memory, 0, (floats + 64) * sizeof(float));
  }
  Aligned(const Aligned &) = delete;
  ~Aligned() { std::free(p); }
};

// Threads that do the same work on their parts of it. They sleep between two runs, and spin within
// one, where they wait for each other after each step.
class Workers {
public:
  explicit Workers(int count) : count_(count) {
    try {
      for (int i = 1; i < count; i++) threads_.emplace_back([this, i] { serve(i); });
    } catch (...) { // the system gives no more threads
      stop();
      throw;
    }
  }
  ~Workers() { stop(); }
  int count() const { return count_; }
  template <class F> void run(const F &work) {
    if (count_ == 1) return work(0);
    call_ = [](const void *f, int part) { (*(const F *)f)(part); };
    work_ = &work;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      round_++;
    }
    wake_.notify_all();
    work(0);
    wait(); // all of them are done
  }
  void wait() {
    if (count_ == 1) return;
    const unsigned phase = phase_.load(std::memory_order_acquire);
    if (waiting_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
      waiting_.store(0, std::memory_order_relaxed);
      phase_.store(phase + 1, std::memory_order_release);
      return;
    }
    for (int spins = 0; phase_.load(std::memory_order_acquire) == phase; spins++)
      if (spins < 4000) pause_briefly();
      else std::this_thread::yield();
  }

private:
  void stop() {
    {
      std::lock_guard<std::mutex> lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread &t : threads_) t.join();
  }
  void serve(int part) {
    for (unsigned seen = 0;;) {
      {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, [&] { return stop_ || round_ != seen; });
        if (stop_) return;
        seen = round_;
      }
      call_(work_, part);
      wait();
    }
  }
  const int count_;
  std::vector<std::thread> threads_;
  std::mutex mutex_;
  std::condition_variable wake_;
  unsigned round_ = 0;
  bool stop_ = false;
  void (*call_)(const void *, int) = nullptr;
  const void *work_ = nullptr;
  std::atomic<int> waiting_{0};
  std::atomic<unsigned> phase_{0};
};

// What does not depend on the width of a group.
struct Base {
  virtual ~Base() {}
  virtual void run(const float *image, float *output) = 0;
  virtual void profile(const float *image, float *output, int64_t *ns) = 0;
  virtual void tune() = 0;
  virtual bool set_tiles(const int32_t *tiles) = 0;
  virtual void tiles(int32_t *to) const = 0;
  virtual void groups(size_t step, int64_t *kept, int64_t *all) const = 0;
  File file;
  lb_layer call = nullptr;
  void *data = nullptr;
};

} // namespace

#include "layout.hpp"
#include "network.hpp"
#include "steps.hpp"
#include "planes.hpp"
#include "tuning.hpp"

struct lb_network {
  std::unique_ptr<Base> of;
};

namespace {

std::unique_ptr<Base> make(File file, int group, int threads) {
  if (!group) group = file.group;
  if (threads < 1 || threads > 1024) throw std::runtime_error("the number of threads must be 1 to 1024");
  std::unique_ptr<Base> made;
  if (group == 16) made.reset(new Sparse<16>(std::move(file), threads));
  else if (group == 8) made.reset(new Sparse<8>(std::move(file), threads));
  else if (group == 4) made.reset(new Sparse<4>(std::move(file), threads));
  else if (group == 1) made.reset(new Sparse<1>(std::move(file), threads));
  else throw std::runtime_error("a group has 1, 4, 8 or 16 filters");
  const File &f = made->file;
  const size_t size = 4 + 3 * f.steps.size();
  for (size_t at = 0; at + size <= f.tilings.size(); at += size)
    if (f.tilings[at] == NATIVE && f.tilings[at + 1] == group && f.tilings[at + 2] == threads)
      if (made->set_tiles(&f.tilings[at + 4])) break;
  return made;
}

template <class F> auto guarded(const F &f) -> decltype(f()) {
  try {
    return f();
  } catch (const std::exception &e) {
    last_error = e.what();
  } catch (...) {
    last_error = "an unknown error";
  }
  return nullptr;
}

} // namespace

extern "C" {

lb_network *lb_read(const void *bytes, size_t size, int group, int threads) {
  return guarded([&] { return new lb_network{make(read_file(bytes, size), group, threads)}; });
}

lb_network *lb_open(const char *name, int group, int threads) {
  return guarded([&]() -> lb_network * {
    FILE *file = std::fopen((std::string(name) + "/network.sparse").c_str(), "rb");
    std::unique_ptr<FILE, int (*)(FILE *)> in(file ? file : std::fopen(name, "rb"), std::fclose);
    // A folder can be opened, and not be read.
    if (!in || std::fgetc(in.get()) == EOF) throw std::runtime_error(std::string(name) + " cannot be read");
    std::rewind(in.get());
    std::vector<char> bytes;
    char part[1 << 16];
    for (size_t n; (n = std::fread(part, 1, sizeof part, in.get())) > 0;)
      bytes.insert(bytes.end(), part, part + n);
    File of = read_file(bytes.data(), bytes.size());
    for (const Record &r : of.steps)
      expect(r.kind != FOREIGN, "it has a layer that only latbench's Python runs");
    return new lb_network{make(std::move(of), group, threads)};
  });
}

void lb_close(lb_network *n) { delete n; }
const char *lb_error(void) { return last_error.c_str(); }
size_t lb_input_size(const lb_network *n) { return n->of->file.shapes[0].size(); }
size_t lb_output_size(const lb_network *n) { return n->of->file.shapes.back().size(); }
void lb_shapes(const lb_network *n, int32_t input[3], int32_t output[3]) {
  std::memcpy(input, &n->of->file.shapes[0], sizeof(Shape));
  std::memcpy(output, &n->of->file.shapes.back(), sizeof(Shape));
}
size_t lb_steps(const lb_network *n) { return n->of->file.steps.size(); }
void lb_tune(lb_network *n) {
  try {
    n->of->tune();
  } catch (const std::exception &e) { // no memory: it stays as it is
    last_error = e.what();
  }
}
void lb_tiles(const lb_network *n, int32_t *tiles) { n->of->tiles(tiles); }
int lb_register(void) { return NATIVE; }

void lb_run(lb_network *n, const float *images, float *outputs, size_t count) {
  const size_t in = lb_input_size(n), out = lb_output_size(n);
  for (size_t i = 0; i < count; i++) n->of->run(images + i * in, outputs + i * out);
}

int lb_set_tiles(lb_network *n, const int32_t *tiles, size_t steps) {
  return steps == lb_steps(n) && n->of->set_tiles(tiles);
}

void lb_groups(const lb_network *n, size_t step, int64_t *kept, int64_t *all) {
  *kept = *all = 0;
  if (step < lb_steps(n)) n->of->groups(step, kept, all);
}

void lb_profile(lb_network *n, const float *image, size_t repeats, int64_t *ns) {
  std::vector<float> output(lb_output_size(n));
  for (size_t i = 0; i < repeats; i++) n->of->profile(image, output.data(), ns + i * (lb_steps(n) + 2));
}

void lb_set_layers(lb_network *n, lb_layer call, void *data) {
  n->of->call = call;
  n->of->data = data;
}

} // extern "C"
