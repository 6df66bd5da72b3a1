;; Names that would end a C comment and define a constructor, if they reached a C compiler.
(module $*/this_is_no_C/*
  (import "*/ __attribute__((constructor)) static void a(void) { __builtin_trap(); } /*"
          "*/ __attribute__((constructor)) static void b(void) { __builtin_trap(); } /*"
          (func $host))
  (func (export "*/ #include <stdlib.h>\n__attribute__((constructor)) static void c(void) { system(\"touch injected\"); __builtin_trap(); } /*")
        (result i32)
    call $host
    i32.const 42))
