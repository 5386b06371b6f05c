// What the command does before its libraries begin, and what it finds there.
#ifndef CSTART_H
#define CSTART_H

// The number of CPUs on which the process may run; 0 where the system does not say.
int start_allowed_cpus(void);

#endif
