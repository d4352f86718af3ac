// What a campaign came to, for people and for programs.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "output.hpp"
#include "trials/campaign.hpp"
#include "trials/explained.hpp"

namespace cinnabar::tool {

struct CampaignReport {
    std::vector<trials::CampaignRun> runs;
    std::vector<trials::Explained> explained;  // of each run, or empty; empty: of none
    std::string broken;                        // the engine was, so
    uint64_t seed = 1;
    uint64_t images_max = 0;  // of each level at each crash point; 0: all that it has
    double seconds = 0;
    size_t runs_all = 0;       // of which those above have ended
    std::string interruption;  // why not all of it was run or explained; empty: it was

    bool any_violation() const;
};

// Runs it again, as far as it is of that run.
std::string command_of(const CampaignReport& report, const trials::CampaignRun& run);

Json json_of(const CampaignReport& report);

// The table, a sentence for each violation, and what it comes to.
std::string text_of(const CampaignReport& report);

// A row for each mutant, with the letter of each scenario that noticed it.
std::string matrix_of(const CampaignReport& report);

// "1 234 567"
std::string grouped(uint64_t number);

}  // namespace cinnabar::tool
