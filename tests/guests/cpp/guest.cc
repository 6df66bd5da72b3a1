// SPDX-License-Identifier: Apache-2.0
// A test actor in C++ on the standard library, which stands on a C library and so on WASI. Its
// state is a count of requests as text. A request is a line:
//
//   count WORDS…             how often each word comes, by a map
//   save PATH TEXT | load PATH | later MS | hello NAME | complain TEXT | born | fail TEXT | trap
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <sstream>
#include <string>

namespace {

// Made by a constructor before main would begin, once for the instance.
struct Birth {
    int times = 0;
    std::string name;
    Birth() : name("born") {
        times++;
    }
} birth;

struct Failure {
    std::string text;
};

// Without exceptions: an answer or a failure.
struct Answer {
    std::string text;
    std::optional<Failure> failure;
};

Answer count(std::istream &words) {
    std::map<std::string, int> counts;
    for (std::string word; words >> word;) {
        counts[word]++;
    }
    std::ostringstream out;
    for (const auto &[word, times] : counts) {
        out << word << '=' << times << ' ';
    }
    return {out.str(), {}};
}

Answer save(const std::string &path, const std::string &text) {
    std::ofstream file(path);
    file << text << std::flush;
    return file ? Answer{"saved", {}} : Answer{"", Failure{"cannot save " + path}};
}

Answer load(const std::string &path) {
    std::ifstream file(path);
    if (!file) {
        return {"", Failure{"cannot load " + path}};
    }
    return {{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}, {}};
}

Answer later(int ms) {
    const auto start = std::chrono::steady_clock::now();
    const timespec wait = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&wait, nullptr);
    const auto passed = std::chrono::steady_clock::now() - start;
    return {passed >= std::chrono::milliseconds(ms) ? "later" : "too early", {}};
}

std::string rest_of(std::istream &in) {
    std::string rest;
    std::getline(in >> std::ws, rest);
    return rest;
}

Answer obey(const std::string &line) {
    std::istringstream in(line);
    std::string verb, word;
    in >> verb;
    if (verb == "count") {
        return count(in);
    }
    if (verb == "save") {
        in >> word;
        return save(word, rest_of(in));
    }
    if (verb == "load") {
        return load(rest_of(in));
    }
    if (verb == "later") {
        return later(std::atoi(rest_of(in).c_str()));
    }
    if (verb == "hello") {
        std::cout << "hello, " << rest_of(in) << std::endl;
        return {};
    }
    if (verb == "complain") {
        std::cerr << rest_of(in) << std::endl;
        return {};
    }
    if (verb == "born") {
        return {birth.name + " " + std::to_string(birth.times), {}};
    }
    if (verb == "fail") {
        return {"", Failure{rest_of(in)}};
    }
    if (verb == "trap") {
        std::abort();
    }
    std::string reversed(line.rbegin(), line.rend());
    return {reversed, {}};
}

// ---- the canonical ABI -------------------------------------------------------------------------

struct Free {
    void operator()(void *place) const {
        std::free(place);
    }
};

// A list that the runtime made with cabi_realloc.
std::string take(char *data, size_t size) {
    std::unique_ptr<char, Free> owner(size > 0 ? data : nullptr);
    return size > 0 ? std::string(data, size) : std::string();
}

// What the answer of an export points at, until the next one.
struct Result {
    uint32_t words[8] = {};
    std::string state, text;

    uint32_t *fail(std::string why) {
        text = std::move(why);
        words[0] = 1;
        put(1, text);
        return words;
    }
    void put(int at, const std::string &content) {
        words[at] = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(content.data()));
        words[at + 1] = static_cast<uint32_t>(content.size());
    }
    // ok((some(state), …
    void succeed(int number) {
        state = std::to_string(number);
        words[0] = 0;
        words[1] = 1;
        put(2, state);
    }
} result;

}  // namespace

#define EXPORT(name) extern "C" __attribute__((export_name(name)))

EXPORT("cabi_realloc")
void *cabi_realloc(void *old, size_t, size_t align, size_t size) {
    return size == 0 ? reinterpret_cast<void *>(align) : std::realloc(old, size);
}

EXPORT("theater:simple/actor#init")
uint32_t *init(int32_t has_state, char *state, size_t state_size, char *id, size_t id_size) {
    const std::string before = has_state ? take(state, state_size) : "0";
    take(id, id_size);
    result.succeed(std::atoi(before.c_str()));
    return result.words;
}

EXPORT("theater:simple/message-server-client#handle-request")
uint32_t *handle_request(int32_t has_state, char *state, size_t state_size, char *id,
                         size_t id_size, char *data, size_t size) {
    const std::string before = has_state ? take(state, state_size) : "0";
    take(id, id_size);
    Answer answer = obey(take(data, size));
    if (answer.failure) {
        return result.fail(answer.failure->text);
    }
    const int number = std::atoi(before.c_str()) + 1;
    result.succeed(number);
    result.text = answer.text + " #" + std::to_string(number);
    result.words[4] = 1;
    result.put(5, result.text);
    return result.words;
}
