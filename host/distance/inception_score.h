// Inception score (Salimans et al. 2016) of a classifier's logits over generated images:
//
//     IS = exp( mean_i sum_c p_ic (log p_ic - log q_c) ),   q = mean_i p_i
//
// for each of `splits` equal parts; 1 <= IS <= exp(H(q)) <= classes. It never looks at real images.
#pragma once

#include "host/numerics/features.h"

#include <optional>

namespace patchforge {

struct InceptionScore {
    double mean = 0;
    double deviation = 0;       // population standard deviation over the splits
    double ceiling = 0;         // exp(H(q)) of the whole set: certain of every image, same classes
    double classes_ceiling = 0; // the number of classes
    int splits = 0;
};

// `logits`: one row an image, one column a class, any finite size. Split i holds rows
// [i n / splits, (i + 1) n / splits), after a shuffle when a seed is given. More splits give a
// lower score on few images, so a score means something only with its splits and n.
// Throws std::invalid_argument unless 1 <= splits <= n.
InceptionScore inception_score(const Features& logits, int splits = 10,
                               std::optional<std::uint64_t> shuffle_seed = {});

} // namespace patchforge
