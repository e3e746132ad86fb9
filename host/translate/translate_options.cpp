#include "host/translate/translate_options.h"

#include <stdexcept>

#include "host/classifier/classifier_data.h"

namespace patchforge {

namespace {

const Choices<TranslationMode> modes = {{"super-resolution", TranslationMode::super_resolution},
                                        {"paired", TranslationMode::paired},
                                        {"cycle", TranslationMode::cycle},
                                        {"refine", TranslationMode::refine}};

} // namespace

std::string mode_name(TranslationMode mode) {
    return choice_name(modes, mode);
}

void choose_mode(TranslateOptions& options, TranslationMode mode) {
    const TranslateOptions standard;
    options.mode = mode;
    options.generator = standard.generator;
    options.least_squares = mode == TranslationMode::cycle;
    options.lambda_l1 = standard.lambda_l1;
    options.lambda_adversarial = standard.lambda_adversarial;
    options.steps = standard.steps;
    options.batch_size = standard.batch_size;
    options.learning_rate = standard.learning_rate;
    options.beta1 = standard.beta1;
    options.rates = standard.rates;
    options.pool = standard.pool;
    if (mode == TranslationMode::super_resolution) {
        return;
    }
    options.batch_size = 4;
    options.learning_rate = 2e-4;
    options.beta1 = 0.5;
    options.rates = {.decay_epoch = 1};
    if (mode == TranslationMode::paired) {
        options.generator = GeneratorKind::unet;
        options.lambda_l1 = 100;
        options.lambda_adversarial = 1;
    } else if (mode == TranslationMode::cycle) {
        options.generator = GeneratorKind::resnet_small;
    } else {
        options.generator = GeneratorKind::refiner;
        options.batch_size = 16;
        options.learning_rate = 5e-4;
        options.rates = {};
        options.lambda_adversarial = 1;
        options.pool = 512;
    }
}

void describe(Options& options, TranslateOptions& o) {
    options.group("Translation");
    Option& mode =
        options.choice("mode", o.mode, modes,
                       "small pictures to large ones; pictures to pictures in pairs; one "
                       "kind of picture to another without pairs; drawings made to look real");
    mode.set = [&o](const std::string& text) {
        choose_mode(o, choice_value(modes, "--mode", text));
    };
    options.choice<PairSource>("pairs", o.pairs,
                               {{"stain", PairSource::stain},
                                {"edges", PairSource::edges},
                                {"low-resolution", PairSource::low_resolution}},
                               "paired: what the source is made of the picture: its eosin taken "
                               "away, lines along its edges, half its resolution");
    options.text("target", o.target, "FOLDER",
                 "paired: pictures of the same names as those of --data, which are the sources; "
                 "cycle: pictures of the other kind; refine: real pictures, of whose patients "
                 "--test-patients speaks");
    options.only_one_of({"target", "pairs"});
    options.text("class_a", o.class_a, "NAME", "cycle: the class on one side (without: the first)");
    options.text("class_b", o.class_b, "NAME",
                 "cycle: the class on the other (without: the second)");
    options.only_one_of({"target", "class_a"});
    options.only_one_of({"target", "class_b"});
    describe_test_patients(options, o.test_patients, o.test_list, "patients held out");
    options.number("split_seed", o.split_seed, any_seed,
                   "of the choice of patients, whatever --seed is");

    options.group("Network");
    options.choice<GeneratorKind>("generator", o.generator,
                                  {{"edsr", GeneratorKind::edsr},
                                   {"unet", GeneratorKind::unet},
                                   {"resnet", GeneratorKind::resnet},
                                   {"resnet-small", GeneratorKind::resnet_small},
                                   {"refiner", GeneratorKind::refiner},
                                   {"refiner-scales", GeneratorKind::refiner_scales}},
                                  "network that makes pictures; edsr is super-resolution's, the "
                                  "refiners those of --mode refine");
    options.number("width", o.width, {1, 1024}, "channels of its first layer");
    options.number("blocks", o.blocks, {1, 64},
                   "its residual blocks (edsr, the resnets, the refiner)");
    options.number("dropout", o.dropout, {0, 0.999}, "in the decoder of unet, in training");
    options.number("width_d", o.width_d, {1, 1024}, "channels of the discriminator's first layer");
    options.number("layers_d", o.layers_d, {1, 3},
                   "its size: each answer sees 16, 34 or 70 pixels a side");
    options.choice<Judging>(
        "discriminator", o.discriminator,
        {{"patches", Judging::patches}, {"two-scales", Judging::two_scales}},
        "refine: a PatchGAN, or texture place by place beside means of 2x2 pixels as a whole");

    options.group("Training");
    options.choice<bool>("gan_mode", o.least_squares, {{"bce", false}, {"lsgan", true}},
                         "the game's loss: cross-entropy, or least squares on raw answers");
    options.number("lambda_l1", o.lambda_l1, {0, 1e6}, "weight of mean |made - target|");
    options.number("lambda_adversarial", o.lambda_adversarial, {0, 1e6},
                   "weight of the discriminator's answer (0: there is none)");
    options.number("lambda_cycle", o.lambda_cycle, {0, 1e6},
                   "weight of mean |there and back - picture|");
    options.number("lambda_identity", o.lambda_identity, {0, 1e3},
                   "of mean |made of its own kind - picture|, in units of --lambda-cycle");
    options.number("pool", o.pool, {0, 100000},
                   "fakes kept, which the discriminators of a cycle are shown half the time (0: "
                   "none); refine: half of every batch of fakes comes from them");
    options
        .list("classifier", o.classifier, "FOLDER|FILE,...",
              "refine: classifiers of the drawings' classes, which are to call refined ones what "
              "they were drawn as")
        .changeable(); // its hash may not
    options
        .number("lambda_label", o.lambda_label, {0, 1e6},
                "weight of the cross-entropy of that class")
        .beside("classifier");
    options.number("refiner_steps", o.refiner_steps, {1, 100},
                   "refine: steps of the refiner, each on a batch of its own, to one of the "
                   "discriminator");
    options.number("steps", o.steps, {1, 1000000000000}, "iterations").instead_of("epochs");
    options.number("epochs", o.epochs, {0, 1000000}, "passes over the data instead (0: --steps)");
    options.only_one_of({"steps", "epochs"});
    options.number("batch_size", o.batch_size, {1, 65536}, "pictures a batch");
    options.number("lr", o.learning_rate, {1e-12, 1}, "learning rate of all networks");
    options.number("lr_d", o.learning_rate_d, {0, 1},
                   "refine: that of the discriminator (0: --lr)");
    describe_adam(options, o.beta1, o.beta2, o.adam_epsilon);
    describe_rates(options, o.rates);
    options.choice<bool>("augment", o.flips, {{"none", false}, {"flips", true}},
                         "flips: every picture mirrored and turned anew each time, both sides of a "
                         "pair alike");
    options.number("judges", o.judges, {0, 16},
                   "cycle, refine: classifiers that are trained at the end to judge what was made");
    options.number("seed", o.seed, any_seed, "of everything random but the split");
}

void TranslateOptions::validate() const {
    check_ranges(*this);
    const auto refuse = [](bool wrong, const std::string& what) {
        if (wrong) {
            throw std::invalid_argument(what);
        }
    };
    const bool enlarges = mode == TranslationMode::super_resolution;
    refuse(enlarges != (generator == GeneratorKind::edsr),
           enlarges ? "--generator: --mode super-resolution enlarges, which edsr alone does"
                    : "--generator edsr: enlarges; use unet, resnet or resnet-small");
    const bool refines = mode == TranslationMode::refine;
    refuse(refines !=
               (generator == GeneratorKind::refiner || generator == GeneratorKind::refiner_scales),
           refines ? "--generator: --mode refine begins with drawings as they are, which refiner "
                     "and refiner-scales alone do"
                   : "--generator: the refiners belong to --mode refine; use another");
    refuse(!refines && (discriminator != Judging::patches || learning_rate_d > 0),
           "--discriminator, --lr-d: belong to --mode refine; leave them out");
    refuse(!refines && !classifier.empty(), "--classifier: belongs to --mode refine; leave it out");
    refuse(refines && target.empty(),
           "--target: --mode refine needs real pictures to make those of --data look like; name "
           "their folder or set");
    refuse(refines && lambda_adversarial == 0,
           "--lambda-adversarial: is 0, which leaves drawings as they are; give a number above 0");
    refuse(refines && (batch_size < 2 || pool <= batch_size),
           "--batch-size, --pool: half of a batch comes from the pool, which must hold more than "
           "one of at least 2; take smaller batches or a larger pool");
    refuse(dropout > 0 && generator != GeneratorKind::unet,
           "--dropout: stands in the decoder of --generator unet; leave it out");
    refuse(!target.empty() && enlarges,
           "--target: super-resolution makes its small pictures itself; leave it out");
    refuse((!class_a.empty() || !class_b.empty()) && mode != TranslationMode::cycle,
           "--class-a, --class-b: belong to --mode cycle; leave them out");
    refuse(class_a.empty() != class_b.empty(), "--class-a, --class-b: one alone; give both");
    refuse(!class_a.empty() && class_a == class_b,
           "--class-a, --class-b: are the same class; give two");
    refuse(mode == TranslationMode::cycle && lambda_cycle == 0 && lambda_identity > 0,
           "--lambda-identity: is in units of --lambda-cycle, which is 0; set it to 0 too");
    refuse(mode != TranslationMode::cycle && lambda_l1 == 0 && lambda_adversarial == 0,
           "--lambda-l1, --lambda-adversarial: nothing would be trained; leave one above 0");
}

const std::vector<Preset>& translate_presets() {
    // Of 50x50 patches, by what two cores can do in minutes; docs/measured/translate.md says what they reach.
    static const std::vector<Preset> presets = {
        {"super-resolution", {{"mode", "super-resolution"}}},
        {"stain", {{"mode", "paired"}, {"pairs", "stain"}}},
        {"edges", {{"mode", "paired"}, {"pairs", "edges"}}},
        {"low-resolution", {{"mode", "paired"}, {"pairs", "low-resolution"}}},
        // Looser than the paper's: with its weights colours move and little else does in so short a time.
        {"cycle",
         {{"mode", "cycle"},
          {"steps", "2000"},
          {"layers_d", "1"},
          {"lr", "5e-4"},
          {"lambda_cycle", "5"},
          {"lambda_identity", "0.1"}}},
        // As the paper has it, for a GPU: six blocks are its number for small pictures. The rates of its
        // epochs from 99 on are those of its code: (200 - epoch) / 101.
        {"cycle-paper",
         {{"mode", "cycle"},
          {"generator", "resnet"},
          {"width", "64"},
          {"blocks", "6"},
          {"width_d", "64"},
          {"batch_size", "1"},
          {"decay_epoch", "99"},
          {"epochs", "200"}}},
        // The refiner slowly, so that its discriminator keeps up with it; classifiers hold the label.
        {"refine",
         {{"mode", "refine"},
          {"generator", "refiner-scales"},
          {"discriminator", "two-scales"},
          {"steps", "3000"},
          {"lr", "3e-4"},
          {"lr_d", "1e-3"},
          {"decay_after", "0.5"},
          {"lambda_l1", "0.05"},
          {"lambda_label", "5"}}}};
    return presets;
}

TranslateOptions translate_preset(const std::string& name) {
    return described_by_preset<TranslateOptions>(translate_presets(), name);
}

} // namespace patchforge
