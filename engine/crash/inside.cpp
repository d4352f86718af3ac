#include "crash/inside.hpp"

#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <vector>

#include "crash/message.hpp"
#include "crash/recovered_image.hpp"
#include "crash/run.hpp"
#include "crash/thrown_by.hpp"
#include "crash/unavailable.hpp"
#include "crash/worker.hpp"
#include "crash/worker_image.hpp"
#include "explain/violation.hpp"

namespace cinnabar::crash {

namespace {

constexpr uint64_t kImagesMax = 200;  // at each crash point inside of a recovery
constexpr uint64_t kRandomImages = 20;

std::span<std::byte> map_shared(int file) {
    struct stat status = {};
    ::fstat(file, &status);
    const size_t bytes = static_cast<size_t>(status.st_size);
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (at == MAP_FAILED) throw Unavailable("no mapping of the image");
    return {static_cast<std::byte*>(at), bytes};
}

// The recovery of the image as the workload of a run.
class Inside {
  public:
    Inside(Desk& desk, int shared_image, const Test& test, const Options& options,
           const FileCrashes& file_crashes)
        : desk_(desk),
          request_(InsideRequest::of({desk.text, desk.length})),
          shared_(map_shared(shared_image)),
          test_(test),
          recovery_(shared_image, test, options.image_folder),
          options_(inner(options)),
          file_crashes_(file_crashes) {}

    std::string reply() {
        if (file_crashes_.elsewhere) return reply_from_elsewhere();
        return request_.replay.empty() ? bytes_of(report()) : replayed();
    }

  private:
    Options inner(Options options) const {
        options.images_per_crash_point_max =
            std::min(options.images_per_crash_point_max, kImagesMax);
        options.random_images = std::min(options.random_images, kRandomImages);
        options.violations_max = request_.violations_max;
        options.recovery_crashes_max = 0;
        options.image_folder = request_.image_folder;
        options.page_folder = request_.page_folder;
        return options;
    }

    Test test() {
        return {.workload = [this](History&) { (void)recovery_.run(); },
                .recover = test_.recover,
                .recover_file = test_.recover_file,
                .check = [this](std::string_view digest, const History&) { return ask(digest); }};
    }

    std::string ask(std::string_view digest) {
        desk_.put(digest);
        desk_.question = true;
        desk_.change(kRequest, kReply);
        desk_.wait_for(kRequest);
        desk_.question = false;
        const OracleAnswer answer = OracleAnswer::of({desk_.text, desk_.length});
        if (answer.threw) throw std::runtime_error(answer.what);
        return answer.what;
    }

    std::string reply_from_elsewhere() {
        recovery_.renew();
        const auto reply = file_crashes_.elsewhere(request_, options_, recovery_.file()->path(),
                                                   [this] { desk_.begin(Phase::inside); });
        if (request_.replay.empty())
            return reply ? *reply : throw Unavailable(reply.error().message);
        if (!reply) return reply.error().message;
        if (reply->size() != shared_.size()) return "the image cannot be read";
        std::memcpy(shared_.data(), reply->data(), shared_.size());
        return "";
    }

    // The recovery of the image as the crash left it, under this run.
    std::shared_ptr<void> run_recovery(Run& run) {
        recovery_.renew();
        if (recovery_.file()) return file_crashes_.watch(recovery_.file()->path(), run);
        auto image = std::make_shared<RecoveredImage>(recovery_.memory()->bytes(), shared_,
                                                      request_.domain, run);
        image->run_workload();
        return image;
    }

    Report report() {
        const Test test = this->test();
        Run run(test, options_);
        run.is_inside(request_);
        run.on_recovery([this] { desk_.begin(Phase::inside); });
        if (const auto started = run.start(); !started) throw Unavailable(started.error().message);
        const std::shared_ptr<void> recorded = run_recovery(run);
        const auto repeat = [this](Run& again) -> Result<Report> {
            const std::shared_ptr<void> recorded_again = run_recovery(again);
            return again.finish();
        };
        run.look_earlier(repeat);
        run.try_fixes(repeat);
        const auto report = run.finish();
        return report ? *report : throw Unavailable(report.error().message);
    }

    std::string replayed() {
        const Test test = this->test();
        Run run(test, options_);
        if (const auto known = run.look_for(request_.replay); !known) return known.error().message;
        const std::shared_ptr<void> recorded = run_recovery(run);
        const auto image = run.found();
        if (!image) return image.error().message;
        std::memcpy(shared_.data(), image->data(), shared_.size());
        return "";
    }

    Desk& desk_;
    const InsideRequest request_;
    const std::span<std::byte> shared_;
    const Test& test_;
    Recovery recovery_;
    const Options options_;
    const FileCrashes& file_crashes_;
};

// The fields of a violation, to be added to a message or to be taken from one.
template <class Numbers, class Texts>
void transfer(Violation& violation, const Numbers& number, const Texts& text) {
    for (uint64_t Violation::*field :
         {&Violation::crash_point, &Violation::recovery_crash_point, &Violation::operations,
          &Violation::images, &Violation::crash_points})
        number(violation.*field);
    for (std::string Violation::*field :
         {&Violation::what, &Violation::where, &Violation::since, &Violation::replay,
          &Violation::lost, &Violation::survived, &Violation::order, &Violation::fix,
          &Violation::image_file, &Violation::page_file, &Violation::not_written})
        text(violation.*field);
}

std::string all_bytes_of(const Report& report) {
    MessageWriter writer;
    writer.add(report.crash_points)
        .add(report.images_distinct)
        .add(report.recoveries)
        .add(std::bit_cast<uint64_t>(report.states_log10))
        .add(uint64_t{report.stopped})
        .add(uint64_t{report.violations.size()});
    for (Violation violation : report.violations) {
        writer.add(static_cast<uint64_t>(violation.kind));
        transfer(
            violation, [&](uint64_t number) { writer.add(number); },
            [&](const std::string& text) { writer.add(text); });
    }
    return writer.bytes();
}

}  // namespace

std::string InsideRequest::bytes() const {
    return MessageWriter()
        .add(image)
        .add(where)
        .add(crash_point)
        .add(operations)
        .add(begun)
        .add(static_cast<uint64_t>(domain))
        .add(violations_max)
        .add(image_folder)
        .add(page_folder)
        .add(replay)
        .bytes();
}

InsideRequest InsideRequest::of(std::string_view bytes) {
    MessageReader reader(bytes);
    InsideRequest request;
    request.image = reader.text();
    request.where = reader.text();
    request.crash_point = reader.number();
    request.operations = reader.number();
    request.begun = reader.text();
    request.domain = static_cast<Domain>(reader.number());
    request.violations_max = reader.number();
    request.image_folder = reader.text();
    request.page_folder = reader.text();
    request.replay = reader.text();
    return request;
}

std::string OracleAnswer::bytes() const {
    return MessageWriter().add(uint64_t{threw}).add(what).bytes();
}

OracleAnswer OracleAnswer::of(std::string_view bytes) {
    MessageReader reader(bytes);
    const bool threw = reader.number() != 0;
    return {threw, reader.text()};
}

std::string bytes_of(Report report) {
    std::string bytes = all_bytes_of(report);
    const size_t found = report.violations.size();
    while (bytes.size() > Desk::kTextMax && report.violations.size() > 1) {
        report.violations.resize(report.violations.size() / 2);
        explain::note(std::to_string(found - report.violations.size()) +
                          " other violations that were found inside of that recovery, for which "
                          "there is no room",
                      report.violations.back());
        bytes = all_bytes_of(report);
    }
    return bytes;
}

Report report_of(std::string_view bytes) {
    MessageReader reader(bytes);
    Report report;
    report.crash_points = reader.number();
    report.images_distinct = reader.number();
    report.recoveries = reader.number();
    report.states_log10 = std::bit_cast<double>(reader.number());
    report.stopped = reader.number() != 0;
    report.violations.resize(reader.number());
    for (Violation& violation : report.violations) {
        violation.kind = static_cast<ViolationKind>(reader.number());
        transfer(
            violation, [&](uint64_t& number) { number = reader.number(); },
            [&](std::string& text) { text = reader.text(); });
    }
    return report;
}

void be_inside(Desk& desk, int shared_image, const Test& test, const Options& options,
               const FileCrashes& file_crashes) {
    leave_nothing_behind();
    desk.wait_for(kRequest);
    desk.unavailable = false;
    std::string reply;
    const auto thrown = thrown_by([&] {
        try {
            reply = Inside(desk, shared_image, test, options, file_crashes).reply();
        } catch (const Unavailable& error) {
            desk.unavailable = true;
            reply = error.what();
        }
    });
    desk.recovered = !thrown;
    if (!desk.put(thrown ? *thrown : reply)) {
        desk.recovered = false;
        desk.put("what was found inside of that recovery is too long to be told");
    }
    desk.question = false;
    desk.change(kRequest, kReply);
    for (;;) ::pause();
}

}  // namespace cinnabar::crash
