// Does a structure of one's own survive a crash? First with a mistake, then without.
#include <cinnabar/crash.hpp>
#include <cstdio>
#include <cstring>

struct Notebook {
    uint64_t count;
    alignas(64) char notes[15][64];
};

int main() {
    namespace crash = cinnabar::crash;
    auto region = crash::Region::create(4096, cinnabar::Domain::cache_line);
    if (!region) return std::printf("%s\n", region.error().message.c_str()), 1;
    auto& book = *reinterpret_cast<Notebook*>(region->bytes().data());
    for (const bool forced_before_counted : {false, true}) {
        const auto workload = [&](crash::History& history) {
            for (const char* text : {"ten tons", "of cinnabar"}) {
                const size_t note = history.begin(text);
                std::strncpy(book.notes[book.count], text, 63);
                if (forced_before_counted) region->persist(book.notes[book.count], 64);
                ++book.count;
                region->persist(&book, sizeof book);
                history.acknowledge(note);
            }
        };
        const auto recover = [](std::span<std::byte> image) {
            const auto& found = *reinterpret_cast<const Notebook*>(image.data());
            std::string lines;
            for (uint64_t i = 0; i < found.count; ++i) lines.append(found.notes[i]).append("\n");
            return lines;
        };
        const crash::Test test{workload, recover, {}, crash::prefix_of_appends()};
        const auto report = crash::run(*region, test, {.violations_max = 1});
        std::printf("%s\n", report ? report->text().c_str() : report.error().message.c_str());
    }
}
