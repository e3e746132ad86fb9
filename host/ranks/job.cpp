#include "host/ranks/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <unistd.h>

#ifdef PATCHFORGE_MPI
#define OMPI_SKIP_MPICXX // its C++ classes, which nobody needs
#include <mpi.h>
#endif

namespace patchforge {

namespace {

// -1: is not there or is no number.
int environment_number(const char* name) {
    const char* text = std::getenv(name);
    char* end = nullptr;
    const long value = text ? std::strtol(text, &end, 10) : -1;
    return text && end != text && *end == 0 && value >= 0 && value < 1 << 20
               ? static_cast<int>(value)
               : -1;
}

#ifdef PATCHFORGE_MPI

// What a launcher offers ranks to find each other by: srun --mpi=pmix the first two, --mpi=pmi2 the others. Without
// any MPI_Init would end the program in words of its own.
bool ranks_can_meet() {
    return std::ranges::any_of(std::array{"PMIX_NAMESPACE", "PMIX_RANK", "PMI_FD", "PMI_RANK"},
                               [](const char* name) { return std::getenv(name) != nullptr; });
}

std::string machine_name() {
    char name[256] = {};
    return ::gethostname(name, sizeof(name) - 1) == 0 ? name : "an unknown machine";
}

// MPI is asked by one thread at a time.
std::mutex one_at_a_time;

void check(int code, const char* call) {
    if (code != MPI_SUCCESS) {
        char text[MPI_MAX_ERROR_STRING] = {};
        int length = 0;
        MPI_Error_string(code, text, &length);
        throw std::runtime_error(
            fmt::format("{}: {}; another rank is gone or cut off; resume from the last checkpoint",
                        call, text));
    }
}

class MpiMessage final : public Ranks::Message {
  public:
    explicit MpiMessage(MPI_Request request) : request_(request) {}
    ~MpiMessage() override {
        const std::lock_guard lock(one_at_a_time);
        if (request_ != MPI_REQUEST_NULL) { // it goes on without us
            MPI_Request_free(&request_);
        }
    }
    bool done() override {
        const std::lock_guard lock(one_at_a_time);
        int flag = 0;
        check(MPI_Test(&request_, &flag, MPI_STATUS_IGNORE), "MPI_Test");
        return flag != 0;
    }

  private:
    MPI_Request request_;
};

class MpiRanks final : public Ranks {
  public:
    explicit MpiRanks(const Launch& launch) {
        int provided = 0;
        check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided),
              "MPI_Init_thread");
        MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
        MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
        MPI_Comm_size(MPI_COMM_WORLD, &size_);
        name_ = fmt::format("rank {} of {} on {}", rank_, size_, machine_name());
        MPI_Comm here = MPI_COMM_NULL;
        int local = 0;
        check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &here),
              "MPI_Comm_split_type");
        MPI_Comm_size(here, &local);
        MPI_Comm_free(&here);
        one_machine_ = local == size_;
        if (size_ != launch.size) {
            throw std::runtime_error(fmt::format(
                "{} started {} processes and MPI knows of {}; {}", launch.launcher, launch.size,
                size_,
                launch.launcher == "srun" ? "start them with srun --mpi=pmix or with mpirun"
                                          : "start them with the mpirun of the MPI that this "
                                            "program was built with"));
        }
        if (provided < MPI_THREAD_SERIALIZED) {
            throw std::runtime_error("this MPI takes calls of one thread alone; install an MPI "
                                     "with thread support");
        }
    }

    int rank() const override { return rank_; }
    int size() const override { return size_; }
    std::string name() const override { return name_; }
    bool one_machine() const override { return one_machine_; }
    std::unique_ptr<Message> send(const void* bytes, std::size_t count, int to, Tag tag) override {
        const std::lock_guard lock(one_at_a_time);
        MPI_Request request = MPI_REQUEST_NULL;
        check(MPI_Isend(bytes, static_cast<int>(count), MPI_BYTE, to, static_cast<int>(tag),
                        MPI_COMM_WORLD, &request),
              "MPI_Isend");
        return std::make_unique<MpiMessage>(request);
    }
    std::unique_ptr<Message> receive(void* bytes, std::size_t count, int from, Tag tag) override {
        const std::lock_guard lock(one_at_a_time);
        MPI_Request request = MPI_REQUEST_NULL;
        check(MPI_Irecv(bytes, static_cast<int>(count), MPI_BYTE, from, static_cast<int>(tag),
                        MPI_COMM_WORLD, &request),
              "MPI_Irecv");
        return std::make_unique<MpiMessage>(request);
    }
    std::int64_t waiting(int from, Tag tag) override {
        const std::lock_guard lock(one_at_a_time);
        int flag = 0, count = 0;
        MPI_Status status;
        check(MPI_Iprobe(from, static_cast<int>(tag), MPI_COMM_WORLD, &flag, &status),
              "MPI_Iprobe");
        if (flag) {
            MPI_Get_count(&status, MPI_BYTE, &count);
        }
        return flag ? count : -1;
    }

  private:
    int rank_ = 0;
    int size_ = 1;
    bool one_machine_ = false;
    std::string name_;
};

void end_all(int status) {
    MPI_Abort(MPI_COMM_WORLD, status);
}

bool joined() {
    int flag = 0;
    MPI_Initialized(&flag);
    return flag != 0;
}

std::unique_ptr<Ranks> join(const Launch& launch) {
    if (launch.launcher == "srun" && !ranks_can_meet()) {
        throw std::runtime_error(fmt::format(
            "srun started {} processes and offers them no way to find each other; start them with "
            "srun --mpi=pmix, or with mpirun where srun --mpi=list does not name pmix",
            launch.size));
    }
    return std::make_unique<MpiRanks>(launch);
}

#else

void end_all(int) {}

bool joined() {
    return false;
}

std::unique_ptr<Ranks> join(const Launch& launch) {
    throw std::runtime_error(fmt::format(
        "{} started {} processes, and this program was built without MPI; install libopenmpi-dev "
        "and openmpi-bin and run `make`, or start one process",
        launch.launcher, launch.size));
}

#endif

} // namespace

Launch launch_of_environment() {
    struct Names {
        const char *launcher, *rank, *size, *local_rank, *local_size;
    };
    // Slurm's batch step says SLURM_NTASKS too: SLURM_STEP_NUM_TASKS is what srun adds.
    for (const Names& names :
         {Names{"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"},
          Names{"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"},
          Names{"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID",
                "SLURM_STEP_TASKS_PER_NODE"}}) {
        const int rank = environment_number(names.rank), size = environment_number(names.size);
        if (rank >= 0 && size > 1 && rank < size) {
            const int local = std::max(environment_number(names.local_rank), 0);
            return {rank, size, local, std::max(environment_number(names.local_size), local + 1),
                    names.launcher};
        }
    }
    return {};
}

std::string messages_text() {
#ifdef PATCHFORGE_MPI
    char text[MPI_MAX_LIBRARY_VERSION_STRING] = {};
    int length = 0;
    MPI_Get_library_version(text, &length);
    const std::string version(text, static_cast<std::size_t>(length));
    return version.substr(0, version.find_first_of(",\n"));
#else
    return "built without MPI: one process";
#endif
}

Ranks* job_ranks() {
    static const std::unique_ptr<Ranks> ranks = []() -> std::unique_ptr<Ranks> {
        const Launch launch = launch_of_environment();
        return launch.size > 1 ? join(launch) : nullptr;
    }();
    return ranks.get();
}

// Whether another rank spoke while this one, rank 0, was held up: who ends a job wakes a stopped process first, and
// a reason would stand there twice. What was sent before is seen after a few questions.
bool printed_elsewhere(Ranks& ranks) {
    for (int question = 0; question < 100; ++question) {
        for (int rank = 1; rank < ranks.size(); ++rank) {
            if (ranks.waiting(rank, Tag::printed) >= 0) {
                return true;
            }
        }
        std::this_thread::yield();
    }
    return false;
}

void leave_job() {
#ifdef PATCHFORGE_MPI
    if (joined()) {
        MPI_Finalize();
    }
#endif
}

bool fail_job(const std::string& reason, int status, bool told,
              void (*print)(const std::string& reason)) {
    if (!joined()) {
        return false;
    }
    static Ranks& ranks = *job_ranks();
    static std::string named;
    named = ranks.rank() == 0 || told ? reason : fmt::format("{}: {}", ranks.name(), reason);
    if (ranks.rank() == 0 && !printed_elsewhere(ranks)) {
        print(named);
    }
    if (!told || ranks.rank() == 0) {
        tell_failure(ranks, named);
    }
    // All who live meet at the end. If one does not come, the rest is ended, and where rank 0 has not
    // printed the reason, the lowest rank that has one does.
    std::thread([status, told, print] {
        std::this_thread::sleep_for(std::chrono::seconds(3));
        bool printed = told || ranks.rank() == 0;
        for (int rank = 0; rank < ranks.rank(); ++rank) {
            printed = printed || ranks.waiting(rank, Tag::failure) >= 0;
        }
        if (!printed) {
            const auto message = ranks.send(nullptr, 0, 0, Tag::printed);
            print(named);
        }
        end_all(status);
    }).detach();
    leave_job();
    return true;
}

} // namespace patchforge
