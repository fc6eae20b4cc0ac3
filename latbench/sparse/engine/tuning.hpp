// The choice of tiles by timing.
#pragma once

namespace {

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
      prepare(r, 0, 1);
      const Map &in = input(r), &out = output(r);
      long density = 0;
      for (double d = 1; d * kept_[i].all * 0.84 > kept_[i].kept && density < 40; d /= 1.41) density++;
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
          convolve(r, kept_[i], t, 0, count, 0);
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
