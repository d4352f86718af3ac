#include "crash/recovered_image.hpp"

namespace cinnabar::crash {

namespace {

RecoveredImage* the_recovered = nullptr;

}  // namespace

void RecoveredImage::run_workload() {
    struct Recovering {
        explicit Recovering(RecoveredImage& image) : of(image) { the_recovered = &of; }
        ~Recovering() {  // whatever ends the recovery
            the_recovered = nullptr;
            of.told_.reset();
        }
        RecoveredImage& of;
    };
    const Recovering recovering(*this);
    run_.run_workload();
}

std::optional<RecoveredImage::Part> RecoveredImage::attached(std::span<std::byte> memory,
                                                             Domain domain) {
    RecoveredImage* image = the_recovered;
    if (image == nullptr || !image->contains(memory) || ::getpid() != image->process_ ||
        std::this_thread::get_id() != image->thread_)
        return std::nullopt;
    if (domain != image->domain_ && !image->refused_) {
        image->refused_ = true;
        image->run_.add(ViolationKind::misuse,
                        "recovery attaches a region to its image in another domain than the "
                        "workload's region has");
    }
    if (image->refused_ || !image->begin_recording()) return std::nullopt;
    return Part{&*image->recorder_, static_cast<uint64_t>(memory.data() - image->memory_.data())};
}

bool RecoveredImage::contains(std::span<const std::byte> memory) const {
    return memory.data() >= memory_.data() &&
           memory.data() + memory.size() <= memory_.data() + memory_.size();
}

bool RecoveredImage::begin_recording() {
    if (recorder_) return true;
    recorder_.emplace(memory_, before_, domain_);
    if (const auto watched = run_.watch(*recorder_); !watched) {
        run_.add(ViolationKind::misuse, watched.error().message);
        refused_ = true;
        return false;
    }
    told_.emplace(memory_, 0, *recorder_);
    return true;
}

}  // namespace cinnabar::crash
