"""Whose runs: an engine has the runs of several tenants, who see nothing of each other.

common    what all tenants of an engine share: workflows, log, clock, workers
tenant    ``Tenant``: starts and finds the runs of one tenant
finding   the methods of ``Engine`` that find runs, and what runs ask and take
methods   all methods of ``Engine`` about runs, which take a tenant
cluster   where several engines share a log: takes up runs that nobody holds, and hears of commands
figures   what goes on in an engine now, in numbers
tenants   all tenants of an engine, made when they are named
"""
