#include "trials/replayed.hpp"

#include <algorithm>
#include <string>

#include "base/crc32c.hpp"
#include "explain/explain.hpp"
#include "trials/letter.hpp"

namespace cinnabar::trials {

uint32_t number_of(const ScenarioRun& run) {
    const std::string text =
        std::string(run.scenario->name) + " " + run.broken.name + " " +
        std::string(name_of(run.broken.domain)) + (run.broken.forced_cached ? " cached " : " ") +
        std::to_string(run.seed) + " " + std::to_string(run.levels.random_images);
    return crc32c(0, text.data(), text.size());
}

Result<std::vector<std::byte>> image_of(std::span<const ScenarioRun> runs, std::string_view line) {
    const auto replay = explain::parse_replay(line);
    if (!replay) return fail(replay.error());
    const auto run = std::ranges::find(runs, replay->workload, number_of);
    if (run == runs.end())
        return fail(Errc::invalid_argument,
                    "the replay line '" + replay->text() +
                        "' is of another scenario, --seed, --images or --break");
    const std::string ended = "the scenario ends before the crash point of '" + replay->text() +
                              "': there is no such one";
    const Letter letter;
    letter.write('-' + ended);
    const auto look_for = [&](size_t, Outcome& outcome) {
        run_broken(*run, outcome, [&](Trial& trial) {
            trial.wanted = {replay->crash_point, 1};
            trial.found = [&](const Crash& crash) {
                const auto put = put_replayed(*replay, replay->workload, crash.life.medium().live(),
                                              crash.life.medium().pending(), crash.image);
                const auto image = crash.image.image();
                letter.write(put ? '+' + std::string(reinterpret_cast<const char*>(image.data()),
                                                     image.size())
                                 : '-' + put.error().message);
                return "found";
            };
        });
    };
    run_forked(1, {.cpu_seconds_max = 0, .clock_seconds_max = 0}, look_for);
    const std::string answer = letter.read();
    if (answer[0] == '-') return fail(Errc::invalid_argument, answer.substr(1));
    const auto* bytes = reinterpret_cast<const std::byte*>(answer.data());
    return std::vector<std::byte>(bytes + 1, bytes + answer.size());
}

}  // namespace cinnabar::trials
