#include "data/new_files.h"

#include <algorithm>
#include <mutex>
#include <vector>

namespace patchforge {

namespace {

std::mutex mutex;
std::vector<NewFileListener*> listeners;

} // namespace

NewFileListener::NewFileListener(std::function<void(const std::filesystem::path&)> hear)
    : hear_(std::move(hear)) {
    const std::lock_guard lock(mutex);
    listeners.push_back(this);
}

NewFileListener::~NewFileListener() {
    const std::lock_guard lock(mutex);
    std::erase(listeners, this);
}

void tell_new_file(const std::filesystem::path& path) {
    const std::lock_guard lock(mutex);
    for (const NewFileListener* listener : listeners) {
        listener->hear_(path);
    }
}

} // namespace patchforge
