/* Root mean square layer norm in fp32: out = x / sqrt(mean(x^2) + eps) * weight, row by row, each
   read twice from cache and written once. */

#include <math.h>
#include <stdint.h>

void rms_norm(const float *restrict x, const float *restrict weight, float *restrict out,
              int64_t rows, int64_t size, float eps) {
    for (int64_t row = 0; row < rows; row++) {
        const float *restrict from = x + row * size;
        float *restrict to = out + row * size;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < size; i++) sum += from[i] * from[i];
        float factor = 1.0f / sqrtf(sum / (float)size + eps);
#pragma omp simd
        for (int64_t i = 0; i < size; i++) to[i] = from[i] * factor * weight[i];
    }
}
