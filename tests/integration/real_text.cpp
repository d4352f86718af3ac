#include "real_text.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

namespace cinnabar::integration {

namespace {

std::vector<std::filesystem::path> files_in(const std::filesystem::path& folder,
                                            std::string_view extension) {
    std::vector<std::filesystem::path> files;
    std::error_code ignored;
    for (const auto& entry : std::filesystem::directory_iterator(folder, ignored))
        if (entry.path().extension() == extension) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

}  // namespace

std::string content_of(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
}

std::string real_text(uint64_t bytes_min) {
    const std::filesystem::path database = "/var/lib/dpkg";
    std::string text = content_of(database / "status");
    for (const char* extension : {".list", ".md5sums", ".symbols", ".postinst"})
        for (const auto& file : files_in(database / "info", extension)) {
            if (text.size() >= bytes_min) return text;
            text += content_of(file);
        }
    return text;
}

std::vector<std::string_view> records_of(std::string_view text, uint64_t bytes_max) {
    std::vector<std::string_view> records;
    while (!text.empty()) {
        const size_t newline = text.find('\n');
        const size_t line = newline == std::string_view::npos ? text.size() : newline + 1;
        const size_t length = std::min<size_t>(line, bytes_max);
        records.push_back(text.substr(0, length));
        text.remove_prefix(length);
    }
    return records;
}

std::vector<std::string_view> share_of(const std::vector<std::string_view>& records,
                                       unsigned thread, unsigned threads) {
    std::vector<std::string_view> share;
    for (size_t i = thread; i < records.size(); i += threads) share.push_back(records[i]);
    return share;
}

}  // namespace cinnabar::integration
