#pragma once

#include <filesystem>
#include <functional>

namespace patchforge {

/// Hears of every file that this process makes, before it is made, from whichever thread. An output
/// folder keeps a list that way, whatever writes into it.
class NewFileListener {
  public:
    explicit NewFileListener(std::function<void(const std::filesystem::path&)> hear);
    ~NewFileListener();
    NewFileListener(const NewFileListener&) = delete;
    NewFileListener& operator=(const NewFileListener&) = delete;

  private:
    std::function<void(const std::filesystem::path&)> hear_;
    friend void tell_new_file(const std::filesystem::path& path);
};

/// Whoever makes a file that is to stay calls it first.
void tell_new_file(const std::filesystem::path& path);

} // namespace patchforge
