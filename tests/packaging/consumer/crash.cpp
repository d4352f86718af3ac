// The smallest crash tests on the installed package: a word in a region, and a file that is not
// stored to.
#include <cinnabar/crash.hpp>

int main() {
    namespace crash = cinnabar::crash;
    auto region = crash::Region::create(4096, cinnabar::Domain::cache_line);
    if (!region) return 1;
    std::byte* word = region->bytes().data();
    crash::Test test;
    test.workload = [&](crash::History&) { region->persist(word, 8); };
    test.recover = [](std::span<std::byte>) { return std::string(); };
    test.check = crash::prefix_of_appends();
    const auto in_region = crash::run(*region, test);
    if (!in_region || !in_region->clean() || in_region->images_distinct == 0) return 2;
    const auto in_file = crash::run_file("no/such/file", test);
    return in_file && !in_file->clean() ? 0 : 3;
}
