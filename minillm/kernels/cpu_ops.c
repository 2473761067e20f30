/* What a decoder layer does between its matrix products, in fp32, each in one pass over its rows.
   In torch every one of these is several operators, and a decode step of a small model is mostly
   the overhead of operators. */

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "exp.h"

/* x += added (NULL: nothing); out = x / sqrt(mean(x^2) + eps) * weight, row by row. x, added and
   out: [rows, size]. */
void add_rms_norm(float *restrict x, const float *restrict added, const float *restrict weight,
                  float *restrict out, int64_t rows, int64_t size, float eps) {
    for (int64_t row = 0; row < rows; row++) {
        float *restrict from = x + row * size;
        float *restrict to = out + row * size;
        if (added) {
            const float *restrict more = added + row * size;
#pragma omp simd
            for (int64_t i = 0; i < size; i++) from[i] += more[i];
        }
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t i = 0; i < size; i++) sum += from[i] * from[i];
        float factor = 1.0f / sqrtf(sum / (float)size + eps);
#pragma omp simd
        for (int64_t i = 0; i < size; i++) to[i] = from[i] * factor * weight[i];
    }
}

/* Rotary embedding in place: the first `heads` heads of each row of x become
   x * cos + (-second half, first half) * sin. x: rows `stride` apart, each of at least
   [heads, dim]; cos and sin: [rows, dim]. */
void rotate(float *restrict x, const float *restrict cos, const float *restrict sin, int64_t rows,
            int64_t stride, int64_t heads, int64_t dim) {
    int64_t half = dim / 2;
    for (int64_t row = 0; row < rows; row++) {
        const float *restrict c = cos + row * dim, *restrict s = sin + row * dim;
        for (int64_t head = 0; head < heads; head++) {
            float *restrict low = x + row * stride + head * dim, *restrict high = low + half;
#pragma omp simd
            for (int64_t i = 0; i < half; i++) {
                float a = low[i], b = high[i];
                low[i] = a * c[i] - b * s[i];
                high[i] = b * c[half + i] + a * s[half + i];
            }
        }
    }
}

/* silu(gate) * up. x: [rows, 2 * size], gate then up; out: [rows, size]. */
void gated_silu(const float *restrict x, float *restrict out, int64_t rows, int64_t size) {
    for (int64_t row = 0; row < rows; row++) {
        const float *restrict gate = x + 2 * row * size, *restrict up = gate + size;
        float *restrict to = out + row * size;
#pragma omp simd
        for (int64_t i = 0; i < size; i++) {
            float e = exp_nonpositive(gate[i] < 0 ? gate[i] : -gate[i]);
            to[i] = gate[i] * up[i] * (gate[i] < 0 ? e : 1.0f) / (1.0f + e);
        }
    }
}

/* cache[slots[row]] = x[row]; returns the first row whose slot the cache does not have, which with
   all after it is not written, or `rows`. x: rows `stride` apart; cache: [num_slots, size]. */
int64_t write_rows(const float *restrict x, float *restrict cache, const int64_t *restrict slots,
                   int64_t rows, int64_t stride, int64_t size, int64_t num_slots) {
    for (int64_t row = 0; row < rows; row++) {
        if (slots[row] < 0 || slots[row] >= num_slots) return row;
        memcpy(cache + slots[row] * size, x + row * stride, sizeof(float) * size);
    }
    return rows;
}
