/* Runs a saved network on an image of zeros and prints its outputs.
 * cc example.c -I. LIBRARY -o example && ./example FOLDER; docs/sparse.md says which library. */
#include "latbench_sparse.h"
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **arguments) {
  lb_network *network = count > 1 ? lb_open(arguments[1], 0, 1) : NULL;
  if (!network) {
    fprintf(stderr, "%s\n", count > 1 ? lb_error() : "usage: example FOLDER");
    return 2;
  }
  float *image = calloc(lb_input_size(network), sizeof(float));
  float *output = calloc(lb_output_size(network), sizeof(float));
  lb_run(network, image, output, 1);
  for (size_t i = 0; i < lb_output_size(network); i++) printf("%g\n", output[i]);
  lb_close(network);
  free(image);
  free(output);
  return 0;
}
