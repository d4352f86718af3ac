#include "explain/earlier.hpp"

#include <algorithm>
#include <filesystem>

#include "explain/image_file.hpp"
#include "explain/reduce.hpp"
#include "explain/violation.hpp"

namespace cinnabar::explain {

std::string since_text(uint64_t crash_point, const std::string& begun, bool all_tried) {
    std::string point = "crash point " + std::to_string(crash_point);
    if (crash_point == 1) point += ", the first";
    if (!begun.empty()) point = begun + " (" + point + ")";
    if (crash_point == 1) return point;
    return point + "; no earlier crash point fails so" +
           (all_tried ? ", and all images there were tried" : ", of what was tried there");
}

void show_earlier(const std::set<uint64_t>& lines, const sim::PendingLines& pending,
                  sim::Image& image, const std::function<bool()>& visit) {
    Reducer reducer(pending, image, {}, 0);
    for (const bool all_survives : {false, true}) {
        Lines all;
        for (const uint64_t line : lines)
            if (const auto found = pending.find(line); found != pending.end())
                all[line] = all_survives ? found->second.durable : found->second.newest();
        std::vector<Lines> images{{}};
        if (all.size() > 1) images.push_back(all);
        for (const auto& [line, value] : all)
            for (const sim::Line& content : pending.at(line).representatives())
                images.push_back({{line, content}});
        for (const Lines& differ : images) {
            reducer.put(all_survives, differ);
            if (!visit()) return;
        }
    }
}

void remove_folders(const std::string& in, const std::string& beginning) {
    std::error_code error;
    std::vector<std::filesystem::path> found;
    for (const auto& entry : std::filesystem::directory_iterator(in, error)) {
        const std::string name = entry.path().filename();
        if (name.starts_with(beginning) && name.size() == beginning.size() + 6 &&
            entry.is_directory(error))
            found.push_back(entry.path());
    }
    for (const auto& folder : found) std::filesystem::remove_all(folder, error);
}

void take_earlier(std::vector<crash::Violation>& violations,
                  const std::vector<crash::Violation>& earlier, const std::string& image_folder,
                  const std::string& page_folder,
                  const std::function<void(size_t, size_t)>& taken) {
    for (size_t i = 0; i < earlier.size(); ++i) {
        crash::Violation one = earlier[i];
        // What has no order is as good as any of its kind.
        const auto same = std::ranges::find_if(violations, [&](const crash::Violation& other) {
            return one.order.empty() ? other.kind == one.kind && other.recovery_crash_point == 0
                                     : is_same_cause(one, other);
        });
        if (same != violations.end() && (one.order.empty() || same->crash_point <= one.crash_point))
            continue;
        const auto number = static_cast<size_t>(same - violations.begin());
        move_file(one.image_file, image_folder, number, ".image");
        move_file(one.page_file, page_folder, number, ".html");
        if (same == violations.end()) {
            violations.push_back(one);
        } else {
            one.images += same->images;
            one.crash_points += same->crash_points;
            *same = one;
        }
        taken(i, number);
    }
}

}  // namespace cinnabar::explain
