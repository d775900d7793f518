//! Harness of the end-to-end tests: throwaway PostgreSQL, Redis and pgmemo.
