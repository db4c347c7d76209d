// A wall clock that was set back under a program's feet.
#ifndef RESTANTE_TESTS_TIME_WALL_CLOCK_H_
#define RESTANTE_TESTS_TIME_WALL_CLOCK_H_

namespace restante {

// While it lives, this program reads a wall clock that is a day ahead of the
// kernel's. So whatever waits for a moment of the wall clock waits a day too long:
// as it would if the clock were set back by a day in the midst of the wait.
class SetBackByADay {
 public:
  SetBackByADay();
  ~SetBackByADay();
  SetBackByADay(const SetBackByADay&) = delete;
  SetBackByADay& operator=(const SetBackByADay&) = delete;
};

}  // namespace restante

#endif  // RESTANTE_TESTS_TIME_WALL_CLOCK_H_
