// The violations of a campaign, explained.
#pragma once

#include <string>

#include "campaign_report.hpp"

namespace cinnabar::tool {

// Where set, folders that are there.
struct ExplainFolders {
    std::string pages;   // violation-N.html
    std::string images;  // violation-N.image
};

// Fills in report.explained, for the first violations; of an Interruption what is known by then. To
// be called while this process has one thread.
void explain(CampaignReport& report, const ExplainFolders& folders);

}  // namespace cinnabar::tool
