/* Paged attention of sequences with one query each, in fp32, straight from the cache.

   Nothing is gathered: each K and V row is read once, where it lies, for all query heads that share
   it. Per sequence: the scores of all keys, a softmax, the weighted sum of the values. Compiled when
   first used, for one HEAD_DIM, VALUE_DIM and GROUP (query heads per KV head), so that the inner
   loops have constant lengths and stay in registers. */

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include "exp.h"

enum { TILE = 16, MAX_THREADS = 64 };

typedef struct {
    const float *q;          /* [tokens, kv_heads * GROUP, HEAD_DIM], tokens q_stride apart */
    const float *k_cache;    /* [num_blocks * block_size, kv_heads, HEAD_DIM] */
    const float *v_cache;    /* [num_blocks * block_size, kv_heads, VALUE_DIM] */
    const int64_t *tables;   /* [sequences, max_blocks] */
    const int64_t *tokens;   /* [sequences]: the row of q and out that is each one's query */
    const int64_t *first;    /* [sequences]: the first position it attends to */
    const int64_t *end;      /* [sequences]: and the one after the last */
    const float *sinks;      /* [kv_heads * GROUP] or NULL */
    float *scores;           /* [threads, kv_heads * GROUP, longest] */
    float *out;              /* [tokens, kv_heads * GROUP, VALUE_DIM] */
    int64_t kv_heads, block_size, max_blocks, longest, q_stride;
    float scale, softcap;    /* softcap 0: none */
} Batch;

static inline float tanh_of(float x) {
    float e = exp_nonpositive(x < 0 ? 2 * x : -2 * x);
    float t = (1 - e) / (1 + e);
    return x < 0 ? -t : t;
}

/* Softmax over n scores, in place; they are left unnormalised, the divisor is returned. */
static float softmax(float *restrict s, int64_t n, float scale, float softcap, const float *sink) {
    float top = sink ? *sink : -3.0e38f, sum = 0;
    if (softcap > 0) {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) s[i] = softcap * tanh_of(s[i] * scale / softcap);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < n; i++) s[i] *= scale;
    }
#pragma omp simd reduction(max : top)
    for (int64_t i = 0; i < n; i++) top = s[i] > top ? s[i] : top;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < n; i++) {
        s[i] = exp_nonpositive(s[i] - top);
        sum += s[i];
    }
    return sink ? sum + exp_nonpositive(*sink - top) : sum;
}

/* Cache slots of the tile of positions that begins at `at`; returns how many there are. */
static inline int tile_slots(const Batch *b, int64_t seq, int64_t at, int64_t slots[TILE]) {
    const int64_t *table = b->tables + seq * b->max_blocks;
    int n = b->end[seq] - at < TILE ? (int)(b->end[seq] - at) : TILE;
    for (int i = 0; i < n; i++) {
        int64_t position = at + i;
        slots[i] = table[position / b->block_size] * b->block_size + position % b->block_size;
    }
    return n;
}

/* One head's share of the next tile is asked for while this tile's is computed: 15 % faster. */
static inline void fetch(const float *cache, const int64_t *slots, int n, int64_t heads, int64_t h,
                         int size) {
    for (int i = 0; i < n; i++)
        for (int d = 0; d < size; d += 16)
            __builtin_prefetch(cache + (slots[i] * heads + h) * size + d, 0, 3);
}

static void attend(const Batch *b, int64_t seq, float *scores) {
    int64_t heads = b->kv_heads * GROUP, first = b->first[seq], end = b->end[seq];
    const float *q = b->q + b->tokens[seq] * b->q_stride;
    float *out = b->out + b->tokens[seq] * heads * VALUE_DIM;
    int64_t slots[TILE], next[TILE];

    for (int64_t at = first; at < end; at += TILE) {
        int n = tile_slots(b, seq, at, slots);
        int m = at + TILE < end ? tile_slots(b, seq, at + TILE, next) : 0;
        for (int64_t h = 0; h < b->kv_heads; h++) {
            fetch(b->k_cache, next, m, b->kv_heads, h, HEAD_DIM);
            for (int i = 0; i < n; i++) {
                const float *restrict k = b->k_cache + (slots[i] * b->kv_heads + h) * HEAD_DIM;
                for (int g = 0; g < GROUP; g++) {
                    const float *restrict query = q + (h * GROUP + g) * HEAD_DIM;
                    float dot = 0;
#pragma omp simd reduction(+ : dot)
                    for (int d = 0; d < HEAD_DIM; d++) dot += query[d] * k[d];
                    scores[(h * GROUP + g) * b->longest + at - first + i] = dot;
                }
            }
        }
    }
    float divisor[heads];
    for (int64_t h = 0; h < heads; h++)
        divisor[h] = softmax(scores + h * b->longest, end - first, b->scale, b->softcap,
                             b->sinks ? b->sinks + h : NULL);
    memset(out, 0, sizeof(float) * heads * VALUE_DIM);
    for (int64_t at = first; at < end; at += TILE) {
        int n = tile_slots(b, seq, at, slots);
        int m = at + TILE < end ? tile_slots(b, seq, at + TILE, next) : 0;
        for (int64_t h = 0; h < b->kv_heads; h++) {
            fetch(b->v_cache, next, m, b->kv_heads, h, VALUE_DIM);
            float sum[GROUP][VALUE_DIM];
            memcpy(sum, out + h * GROUP * VALUE_DIM, sizeof sum);
            for (int i = 0; i < n; i++) {
                const float *restrict v = b->v_cache + (slots[i] * b->kv_heads + h) * VALUE_DIM;
                for (int g = 0; g < GROUP; g++) {
                    float weight = scores[(h * GROUP + g) * b->longest + at - first + i];
#pragma omp simd
                    for (int d = 0; d < VALUE_DIM; d++) sum[g][d] += weight * v[d];
                }
            }
            memcpy(out + h * GROUP * VALUE_DIM, sum, sizeof sum);
        }
    }
    for (int64_t h = 0; h < heads; h++)
        for (int d = 0; d < VALUE_DIM; d++) out[h * VALUE_DIM + d] /= divisor[h];
}

typedef struct {
    const Batch *batch;
    int64_t begin, end; /* sequences */
    float *scores;
} Share;

static void *work(void *argument) {
    Share *share = argument;
    for (int64_t seq = share->begin; seq < share->end; seq++)
        attend(share->batch, seq, share->scores);
    return NULL;
}

/* Thread t attends sequences [bounds[t], bounds[t + 1]); the caller's own thread is the first. */
void decode_attention(const Batch *batch, const int64_t *bounds, int64_t threads) {
    pthread_t started[MAX_THREADS];
    Share shares[MAX_THREADS];
    int running[MAX_THREADS] = {0};
    int64_t size = batch->kv_heads * GROUP * batch->longest;
    for (int64_t t = threads - 1; t >= 0; t--) {
        shares[t] = (Share){batch, bounds[t], bounds[t + 1], batch->scores + t * size};
        running[t] = t > 0 && pthread_create(&started[t], NULL, work, &shares[t]) == 0;
        if (!running[t]) work(&shares[t]);
    }
    for (int64_t t = 1; t < threads; t++)
        if (running[t]) pthread_join(started[t], NULL);
}
