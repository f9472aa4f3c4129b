// Visiting a variant with one function for each alternative: one that is forgotten does not compile.
#pragma once

namespace sallyport {

// std::visit(Overloaded{[](const A&) {…}, [](const B&) {…}}, variant)
template <typename... Functions>
struct Overloaded : Functions... {
  using Functions::operator()...;
};

// Clang 14 does not deduce the arguments of an aggregate by itself.
template <typename... Functions>
Overloaded(Functions...) -> Overloaded<Functions...>;

}  // namespace sallyport
