/* A network with few weights, run on a CPU: the interface of latbench's engine.
 *
 * A file that `save_sparse` of latbench.sparse.saved wrote holds the network and its weights, as
 * dense arrays. Weights are skipped in groups: `group` consecutive filters at one
 * channel, row and column of a kernel, all of them zero.
 *
 * Images and outputs are float32, in the order (image, channel, row, column). A network may be used
 * by one thread at a time; two networks are independent of each other.
 */
#ifndef LATBENCH_SPARSE_H
#define LATBENCH_SPARSE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
#if defined(__GNUC__) && defined(LATBENCH_SPARSE_BUILD)
#pragma GCC visibility push(default)
#endif

typedef struct lb_network lb_network;

/* Opens a file, or the file network.sparse of a folder. `group` is 16, 8, 4 or 1 (single weights), or
 * 0 for what the file says; `threads` is at least 1. NULL when that is not possible; lb_error() then
 * says why. */
lb_network *lb_open(const char *file, int group, int threads);
/* The same from memory, which may be freed afterwards. */
lb_network *lb_read(const void *bytes, size_t size, int group, int threads);
void lb_close(lb_network *);
/* Why the last call of this thread failed. */
const char *lb_error(void);

/* The floats of one image, and of one output. */
size_t lb_input_size(const lb_network *);
size_t lb_output_size(const lb_network *);
/* Their channels, rows and columns. */
void lb_shapes(const lb_network *, int32_t input[3], int32_t output[3]);

/* Runs `count` images, one after another. */
void lb_run(lb_network *, const float *images, float *outputs, size_t count);

/* Times the tiles that each convolution could be computed in, and takes the fastest. */
void lb_tune(lb_network *);

/* How each step is computed: three numbers a step, the rows and columns of a tile (of single weights
 * 1, and the registers of pixels), and 1 where all filters of a tile are computed before the next
 * one; zeros where a step has no tiles. lb_set_tiles returns 0, and sets nothing, when they are not
 * those of such a network. */
size_t lb_steps(const lb_network *);
void lb_tiles(const lb_network *, int32_t *tiles);
int lb_set_tiles(lb_network *, const int32_t *tiles, size_t steps);

/* The groups of a step's weights that are kept, and all of them; 0 where it has no weights. */
void lb_groups(const lb_network *, size_t step, int64_t *kept, int64_t *all);

/* Runs an image `repeats` times; `ns` gets the nanoseconds of each step in each run: repeats x
 * (steps + 2) values, the first of a run being the input's layout and the last the output's. */
void lb_profile(lb_network *, const float *image, size_t repeats, int64_t *ns);

/* Steps that the engine does not know are computed by a function of the caller: `call(data, step,
 * inputs, output)`, in the layout (channel, row, column) of one image. Only lb_read takes networks
 * that have such steps. */
typedef void (*lb_layer)(void *data, int step, const float *const *inputs, float *output);
void lb_set_layers(lb_network *, lb_layer call, void *data);

/* The floats of a register in this build: 16 for AVX-512, 8 for AVX2, 4 for SSE and NEON. */
int lb_register(void);

#if defined(__GNUC__) && defined(LATBENCH_SPARSE_BUILD)
#pragma GCC visibility pop
#endif
#ifdef __cplusplus
}
#endif
#endif
