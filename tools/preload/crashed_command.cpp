#include "crashed_command.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <utility>

#include "notes.hpp"
#include "recovery_command.hpp"
#include "settings.hpp"

namespace cinnabar::tool {

namespace {

std::string request_in(const std::string& folder) {
    return folder + "/request";
}

// Which image, and with how much of everything. The rest is as it is for the workload.
void set_all(const crash::InsideRequest& request, const crash::Options& options,
             const std::string& image, const std::string& acknowledged) {
    set_setting("FILE", image);
    set_setting("FOLDER", options.image_folder);
    set_setting("PAGES", options.page_folder);
    set_setting("INSIDE", request_in(notes_folder(options.image_folder)));
    set_setting("ACKNOWLEDGED", acknowledged);
    set_setting("IMAGES", std::to_string(options.images_per_crash_point_max));
    set_setting("RANDOM", std::to_string(options.random_images));
    set_setting("VIOLATIONS", std::to_string(options.violations_max));
    set_setting("RECOVERY_CRASHES", "0");
    set_setting("REPLAY", request.replay);
    set_setting("IMAGE", notes_folder(options.image_folder) + "/replayed");
}

// Until the process has ended.
void wait_for(pid_t process, const std::string& request, const std::function<void()>& lives) {
    struct timespec seen = {};
    while (::waitpid(process, nullptr, WNOHANG) == 0) {
        ::usleep(1000);
        struct stat status = {};
        if (::stat(request.c_str(), &status) != 0) continue;
        const struct timespec now = status.st_mtim;
        if (now.tv_sec == seen.tv_sec && now.tv_nsec == seen.tv_nsec) continue;
        seen = now;
        lives();
    }
}

Result<std::string> replayed(const std::string& folder) {
    if (text_of_file(folder + "/replayed.txt")) {
        if (auto image = text_of_file(folder + "/replayed")) return *std::move(image);
    }
    const std::string refused = text_of_file(folder + "/refused.txt").value_or("");
    return fail(Errc::invalid_argument,
                refused.empty() ? "the recovery command makes nothing durable by libpmem or msync, "
                                  "or leaves by _exit"
                                : refused.substr(refused.find(' ') + 1));
}

// What is no violation of the recovery's, and is told as a remark.
void add_misuse(crash::Report& report, const std::string& what) {
    crash::Violation violation;
    violation.kind = crash::ViolationKind::misuse;
    violation.what = what;
    report.violations.push_back(std::move(violation));
}

std::string without_a_run(const std::string& why) {
    crash::Report report;
    if (!why.empty()) add_misuse(report, why);
    return crash::bytes_of(report);
}

// Nothing where nothing of the image was made durable.
std::string why_there_is_none(const std::string& folder) {
    if (const auto failed = text_of_file(folder + "/failed.txt"))
        return failed->substr(failed->find(' ') + 1);
    return text_of_file(folder + "/so_far.json") ? "the recovery command left by _exit, or died"
                                                 : "";
}

}  // namespace

Result<std::string> crash_recovery_command(const crash::InsideRequest& request,
                                           const crash::Options& options, const std::string& image,
                                           const std::string& acknowledged,
                                           const std::function<void()>& lives) {
    const std::string folder = notes_folder(options.image_folder);
    std::error_code failed;
    if (!options.image_folder.empty()) std::filesystem::create_directory(folder, failed);
    if (options.image_folder.empty() || failed)
        return without_a_run("no folder can be made for it: is the other one full?");
    std::ofstream(request_in(folder), std::ios::binary) << request.bytes();
    const pid_t child = ::fork();
    if (child < 0) return fail(Errc::io, "no process for the recovery command");
    if (child == 0) {
        set_all(request, options, image, acknowledged);
        become_recovery_command(image, acknowledged, ::open("/dev/null", O_WRONLY));
    }
    wait_for(child, request_in(folder), lives);
    if (!request.replay.empty()) return replayed(folder);
    const auto reply = text_of_file(folder + kInsideReply);
    if (!reply) return without_a_run(why_there_is_none(folder));
    if (reply->empty()) return without_a_run("what was found was not written: is the folder full?");
    crash::Report report = crash::report_of(*reply);
    if (text_of_file(folder + "/second.txt") || text_of_file(folder + "/together.txt"))
        add_misuse(report,
                   "of the recovery command two programs store to the image, and only one "
                   "is looked at");
    return crash::bytes_of(report);
}

void say_that_it_lives(const std::string& request) {
    (void)::utimensat(AT_FDCWD, request.c_str(), nullptr, 0);
}

}  // namespace cinnabar::tool
