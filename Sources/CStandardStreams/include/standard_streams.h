// Descriptors 0 to 2 of a process that was started with one of them closed.
#ifndef STANDARD_STREAMS_H
#define STANDARD_STREAMS_H

// Opens those of the descriptors 0, 1 and 2 that are closed on /dev/null, in the direction that nobody uses: input for
// writing, output and errors for reading. Without it the next file that the process opens would get the number, and what is
// printed would be written into that file. A write to such a stream fails with EBADF, as one to a closed stream does; so it
// does in programs that the process starts. Called when the program is loaded; calling it again does nothing.
void standard_streams_open(void);

#endif
