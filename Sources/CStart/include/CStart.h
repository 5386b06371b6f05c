// What the command does before its libraries begin. There is nothing to call.
#ifndef CSTART_H
#define CSTART_H
#endif
