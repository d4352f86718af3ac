#include "values.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <limits>

namespace cinnabar::tool {

namespace {

// How far a unit shifts a number; nothing where it is none.
std::optional<unsigned> shift_of(std::string unit) {
    static constexpr std::string_view kLetters = "kmgt";
    std::transform(unit.begin(), unit.end(), unit.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (unit.empty() || unit == "b") return 0;
    const size_t letter = kLetters.find(unit[0]);
    const std::string rest = unit.substr(1);
    if (letter == kLetters.npos || !(rest.empty() || rest == "b" || rest == "ib"))
        return std::nullopt;
    return static_cast<unsigned>(10 * (letter + 1));
}

}  // namespace

Result<uint64_t> parse_size(const std::string& text) {
    const auto refuse = [&](const std::string& why) {
        return fail(Errc::invalid_argument, "'" + text + "' " + why);
    };
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    if (problem == std::errc::result_out_of_range) return refuse("is too large a size");
    if (problem == std::errc() && rest != end && (*rest == '.' || *rest == ','))
        return refuse(
            "is a fraction; write a whole number in a smaller unit, for example 1536M for one and "
            "a half G");
    const auto shift = shift_of(std::string(rest, end));
    if (problem != std::errc() || !shift)
        return refuse("is not a size; write a whole number and K, M, G or T, for example 64M");
    if (number > UINT64_MAX >> *shift) return refuse("is too large a size");
    return number << *shift;
}

void add_size_option(CLI::App& app, const std::string& name, uint64_t& bytes,
                     const std::string& help) {
    app.add_option_function<std::string>(
           name,
           [name, &bytes](const std::string& text) {
               auto size = parse_size(text);
               if (!size) throw CLI::ValidationError(name, size.error().message);
               bytes = *size;
           },
           help)
        ->type_name("SIZE");
}

Result<uint64_t> parse_number(const std::string& text, const std::string& what, uint64_t max) {
    uint64_t number = 0;
    const char* end = text.data() + text.size();
    const auto [rest, problem] = std::from_chars(text.data(), end, number);
    if (problem != std::errc() || rest != end || number > max)
        return fail(Errc::invalid_argument,
                    "'" + text + "' is not " + what + "; write a whole number from 0 " +
                        (max == UINT64_MAX ? "on" : "to " + std::to_string(max)));
    return number;
}

CLI::Option* add_lsn_option(CLI::App& app, const std::string& name, std::optional<uint64_t>& lsn,
                            const std::string& help) {
    return app
        .add_option_function<std::string>(
            name,
            [name, &lsn](const std::string& text) {
                auto number = parse_number(text, "an LSN", std::numeric_limits<uint64_t>::max());
                if (!number) throw CLI::ValidationError(name, number.error().message);
                lsn = *number;
            },
            help)
        ->type_name("LSN");
}

void add_lock_timeout_option(CLI::App& app, uint32_t& timeout_ms) {
    static constexpr const char* kName = "--lock-timeout";
    app.add_option_function<std::string>(
           kName,
           [&timeout_ms](const std::string& text) {
               auto number = parse_number(text, "a number of milliseconds",
                                          std::numeric_limits<uint32_t>::max());
               if (!number) throw CLI::ValidationError(kName, number.error().message);
               timeout_ms = static_cast<uint32_t>(*number);
           },
           "How long to wait while another process has the pool open")
        ->type_name("MS");
}

std::string none_of(const std::string& text, const std::vector<std::string>& names) {
    std::string words = "'" + text + "' is neither ";
    for (size_t i = 0; i < names.size(); ++i) words += (i == 0 ? "'" : " nor '") + names[i] + "'";
    return words;
}

}  // namespace cinnabar::tool
